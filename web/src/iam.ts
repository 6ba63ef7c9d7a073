// The operations of iam, whose pages have markers and whose policies come encoded.
import { type Session, call } from './api';

export { call };

/** A time as an answer has it. */
export type Dated = number | string;

export const seconds = (d?: Dated): number | undefined => (d === undefined ? undefined : typeof d === 'number' ? d : Date.parse(d) / 1000);

/** A policy as it was written: answers have it percent-encoded (RFC 3986), as IAM's. */
export function plain(document: string): string {
  if (!/^\s*%7B/i.test(document)) return document;
  try {
    return decodeURIComponent(document);
  } catch {
    return document;
  }
}

/** Calls an operation of iam until it has no more pages, or until there are enough. */
export async function allOf<T>(operation: string, member: string, input: object = {}, enough = 5000): Promise<T[]> {
  const list: T[] = [];
  let marker: string | undefined;
  do {
    const page = await call<Record<string, unknown>>('iam', operation, marker ? { ...input, Marker: marker } : input);
    list.push(...((page[member] as T[] | undefined) ?? []));
    marker = page.IsTruncated ? (page.Marker as string) : undefined;
  } while (marker && list.length < enough);
  return list;
}

export const iamARN = (session: Session, kind: string, name: string) => `arn:aws:iam::${session.Account}:${kind}/${name}`;
