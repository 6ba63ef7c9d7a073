import { createContext, useCallback, useContext, useEffect, useRef, useState } from 'react';
import type { Answer, Ask, Session } from './api';
import { may } from './api';
import type { Key, Language } from './messages';

export interface Flash {
  id: string;
  type: 'success' | 'error' | 'info' | 'warning';
  content: React.ReactNode;
}

/** What every page has: the user, the words, and a place for what happened. */
export interface App {
  session: Session;
  language: Language;
  dark: boolean;
  t: (key: Key, values?: Record<string, string | number>) => string;
  flash: (type: Flash['type'], content: React.ReactNode) => void;
}

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new Error('used outside of the app');
  return app;
}

export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  loading: boolean;
  reload: () => void;
}

/** Loads something when its key changes, and again on demand. Answers that come late are dropped. */
export function useLoad<T>(load: () => Promise<T>, key: string): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: unknown; loading: boolean }>({ loading: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    let current = true;
    setState((s) => ({ ...s, loading: true }));
    latest.current().then(
      (data) => current && setState({ data, loading: false }),
      (error: unknown) => current && setState({ error, loading: false }),
    );
    return () => {
      current = false;
    };
  }, [key, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  return { data: state.data, error: state.error, loading: state.loading, reload };
}

/** What the user may do of some things; everything while that is not known. */
export function useMay(asks: Ask[]): Answer[] {
  const key = JSON.stringify(asks);
  const [answers, setAnswers] = useState<{ key: string; list: Answer[] }>({ key: '', list: [] });
  useEffect(() => {
    let current = true;
    const wanted = JSON.parse(key) as Ask[];
    if (wanted.length > 0) {
      may(wanted).then(
        (list) => current && setAnswers({ key, list }),
        () => {}, // a guess that fails: the operation itself will tell
      );
    }
    return () => {
      current = false;
    };
  }, [key]);
  return asks.map((_, i) => (answers.key === key ? (answers.list[i] ?? { Allowed: true }) : { Allowed: true }));
}

/** The ARNs that permissions are asked for. */
export function arns(session: Session) {
  const prefix = `arn:aws:ssm:${session.Region}:${session.Account}:`;
  return {
    node: (id: string) => `${prefix}managed-instance/${id}`,
    document: (name: string) => (name.startsWith('arn:') ? name : `${prefix}document/${name}`),
    session: (id: string) => `${prefix}session/${id}`,
    setting: (id: string) => `${prefix}servicesetting${id}`,
  };
}

export function go(path: string) {
  window.location.hash = path;
}
