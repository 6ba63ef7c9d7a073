// How far the input of a session is, kept in this browser: a page that continues a session
// must go on with the numbers of the page before it.

export const standingKey = (id: string) => `sekisho.session.${id}`;
// Of a session that is encrypted: the page that continues it needs its keys.
const sealedKey = (id: string) => `sekisho.sealed.${id}`;

/** The number of the next message; null for a session that this browser did not start. */
export function standingOf(id: string): number | null {
  const kept = localStorage.getItem(standingKey(id));
  return kept === null || !/^\d+$/.test(kept) ? null : Number(kept);
}

export const isSealed = (id: string) => localStorage.getItem(sealedKey(id)) !== null;
export const markSealed = (id: string) => localStorage.setItem(sealedKey(id), '1');

export function forgetStanding(id: string) {
  localStorage.removeItem(standingKey(id));
  localStorage.removeItem(sealedKey(id));
}

/** What a page needs to open a session that another page has just started. */
export interface Started {
  SessionId: string;
  TokenValue: string;
  /** The node: the keys of an encrypted session are bound to it. */
  Target: string;
}

const startKey = (id: string) => `sekisho.start.${id}`;

/** Leaves it in this tab's storage, of which a tab that it opens gets a copy. */
export function leaveStart(started: Started) {
  localStorage.setItem(standingKey(started.SessionId), '0');
  sessionStorage.setItem(startKey(started.SessionId), JSON.stringify(started));
}

/** Takes it, once. */
export function takeStart(id: string): Started | null {
  const text = sessionStorage.getItem(startKey(id));
  sessionStorage.removeItem(startKey(id));
  return text === null ? null : (JSON.parse(text) as Started);
}
