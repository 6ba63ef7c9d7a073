// Which terminals are in this tab's dock. It is kept by the tab, for a page that is loaded
// anew; a tab that was opened by this one begins with an empty dock.

import { useSyncExternalStore } from 'react';
import { type Started, leaveStart } from './standing';

export type Size = 'normal' | 'tall' | 'minimised';

export interface Docked {
  sessions: readonly string[];
  active: string | null;
  size: Size;
}

const key = 'sekisho.dock';
const empty: Docked = { sessions: [], active: null, size: 'normal' };

function kept(): Docked {
  const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  const text = entry?.type === 'navigate' ? null : sessionStorage.getItem(key);
  try {
    return text ? { ...empty, ...(JSON.parse(text) as Docked) } : empty;
  } catch {
    return empty;
  }
}

let docked = kept();
const listeners = new Set<() => void>();

function change(next: Docked) {
  docked = next;
  if (next.sessions.length > 0) sessionStorage.setItem(key, JSON.stringify(next));
  else sessionStorage.removeItem(key);
  for (const listener of listeners) listener();
}

/** Opens a session that was just started, or one that this browser can resume. */
export function dock(session: Started | string) {
  const id = typeof session === 'string' ? session : session.SessionId;
  if (typeof session !== 'string') leaveStart(session);
  change({ sessions: docked.sessions.includes(id) ? docked.sessions : [...docked.sessions, id], active: id, size: docked.size === 'minimised' ? 'normal' : docked.size });
}

/** Takes a terminal out of the dock. Its session stays. */
export function undock(id: string) {
  const sessions = docked.sessions.filter((s) => s !== id);
  const at = Math.min(docked.sessions.indexOf(id), sessions.length - 1);
  change({ ...docked, sessions, active: docked.active === id ? (sessions[at] ?? null) : docked.active });
}

export const choose = (id: string) => change({ ...docked, active: id, size: docked.size === 'minimised' ? 'normal' : docked.size });
export const resizeDock = (size: Size) => change({ ...docked, size });

/** Takes all of them out, when somebody leaves this browser. */
export const emptyDock = () => change(empty);

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

export const useDocked = () => useSyncExternalStore(subscribe, () => docked);
