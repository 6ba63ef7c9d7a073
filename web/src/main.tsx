import '@cloudscape-design/global-styles/index.css';
import './style.css';
import { I18nProvider } from '@cloudscape-design/components/i18n';
import Spinner from '@cloudscape-design/components/spinner';
import { Mode, applyMode } from '@cloudscape-design/global-styles';
import { useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { type Session, currentSession, onSignedOut } from './api';
import { AppContext, type App, type Flash } from './context';
import { type Language, text } from './messages';
import { Shell } from './shell';
import { SignIn } from './signin';

export type Theme = 'system' | 'light' | 'dark';

// What a user chose is kept in this browser; what is not known there falls back.
function kept<T extends string>(key: string, among: readonly T[], otherwise: T): T {
  const value = localStorage.getItem(key) as T | null;
  return value && among.includes(value) ? value : otherwise;
}

const dark = window.matchMedia('(prefers-color-scheme: dark)');

function Root({ messages }: { messages: Record<Language, object> }) {
  const [language, setLanguage] = useState<Language>(() =>
    kept('sekisho.language', ['en', 'ja'] as const, navigator.languages.find((l) => /^(en|ja)\b/.test(l))?.startsWith('ja') ? 'ja' : 'en'),
  );
  const [theme, setTheme] = useState<Theme>(() => kept('sekisho.theme', ['system', 'light', 'dark'] as const, 'system'));
  const [systemDark, setSystemDark] = useState(dark.matches);
  const [session, setSession] = useState<Session | null>();
  const [ended, setEnded] = useState(false);
  const [flashes, setFlashes] = useState<Flash[]>([]);

  useEffect(() => {
    const listen = () => setSystemDark(dark.matches);
    dark.addEventListener('change', listen);
    return () => dark.removeEventListener('change', listen);
  }, []);
  const isDark = theme === 'dark' || (theme === 'system' && systemDark);
  useEffect(() => applyMode(isDark ? Mode.Dark : Mode.Light), [isDark]);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  useEffect(() => {
    currentSession().then(setSession, () => setSession(null));
    onSignedOut(() => {
      setSession(null);
      setEnded(true);
    });
  }, []);

  const app = useMemo<App | null>(
    () =>
      session
        ? {
            session,
            language,
            dark: isDark,
            t: (key, values) => text(language, key, values),
            flash: (type, content) => setFlashes((list) => [...list.slice(-4), { id: crypto.randomUUID(), type, content }]),
          }
        : null,
    [session, language, isDark],
  );
  const choose = {
    language: (l: Language) => {
      localStorage.setItem('sekisho.language', l);
      setLanguage(l);
    },
    theme: (m: Theme) => {
      localStorage.setItem('sekisho.theme', m);
      setTheme(m);
    },
  };
  return (
    // The type of the messages is not the library's to export.
    <I18nProvider locale={language} messages={[messages[language] as never]}>
      {session === undefined ? (
        <main className="waiting">
          <h1 className="unseen">{text(language, 'app.name')}</h1>
          <Spinner size="large" />
        </main>
      ) : app ? (
        <AppContext.Provider value={app}>
          <Shell
            choose={choose}
            theme={theme}
            flashes={flashes}
            dismiss={(id) => setFlashes((list) => list.filter((f) => f.id !== id))}
            left={() => {
              setSession(null);
              setEnded(false);
              setFlashes([]);
            }}
          />
        </AppContext.Provider>
      ) : (
        <SignIn
          language={language}
          choose={choose.language}
          ended={ended}
          entered={(s) => {
            setSession(s);
            setEnded(false);
          }}
        />
      )}
    </I18nProvider>
  );
}

const [en, ja] = await Promise.all([
  import('@cloudscape-design/components/i18n/messages/all.en'),
  import('@cloudscape-design/components/i18n/messages/all.ja'),
]);
createRoot(document.getElementById('root')!).render(<Root messages={{ en: en.default, ja: ja.default }} />);
