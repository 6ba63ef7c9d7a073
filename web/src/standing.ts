// How far the input of a session is, kept in this browser: a page that continues a session
// must go on with the numbers of the page before it.

export const standingKey = (id: string) => `sekisho.session.${id}`;

/** The number of the next message; null for a session that this browser did not start. */
export function standingOf(id: string): number | null {
  const kept = localStorage.getItem(standingKey(id));
  return kept === null || !/^\d+$/.test(kept) ? null : Number(kept);
}
