import '@xterm/xterm/css/xterm.css';
import Alert from '@cloudscape-design/components/alert';
import Badge from '@cloudscape-design/components/badge';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Toggle from '@cloudscape-design/components/toggle';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { Terminal } from '@xterm/xterm';
import { useEffect, useRef, useState } from 'react';
import { ServiceError, call } from './api';
import { Channel } from './channel';
import { arns, useApp, useMay } from './context';
import { forgetSession, keptCipher, newCipher } from './crypto';
import { Confirm, ErrorAlert, Guarded } from './parts';
import { isSealed, markSealed, standingKey, standingOf, takeStart } from './standing';
import { allowTerminalStyles } from './styles';

type State = 'connecting' | 'connected' | 'reconnecting' | 'ended' | 'failed';

/** Matches are highlighted so; the colours have 4.5:1 to the text in them. */
const highlights = {
  decorations: { matchBackground: '#5c4a00', matchOverviewRuler: '#e0b400', activeMatchBackground: '#7a3e00', activeMatchColorOverviewRuler: '#ff9900' },
};

const looks = { connecting: 'in-progress', connected: 'success', reconnecting: 'warning', ended: 'stopped', failed: 'error' } as const;

/** Output that may wait for the terminal, in bytes: a tab in the background draws once a second only. */
const mostUnshown = 256 << 10;

/** A terminal in a tab of its own. */
export default function TerminalPage({ id }: { id: string }) {
  const { t } = useApp();
  useEffect(() => {
    document.title = t('terminal.title', { id });
  }, [t, id]);
  return (
    <main className="terminal-page">
      <TerminalPane id={id} heading="h1" shown />
    </main>
  );
}

/** A session's terminal, and what one does with it. A hidden one goes on. */
export function TerminalPane({ id, heading: Heading, shown }: { id: string; heading: 'h1' | 'h2'; shown: boolean }) {
  const { session, t } = useApp();
  const place = useRef<HTMLDivElement>(null);
  const terminal = useRef<Terminal>(null);
  const search = useRef<SearchAddon>(null);
  const refit = useRef(() => {});
  const [state, setState] = useState<State>('connecting');
  const [reason, setReason] = useState('');
  const [encrypted, setEncrypted] = useState(false);
  const [error, setError] = useState<unknown>();
  const [find, setFind] = useState('');
  const [found, setFound] = useState<{ resultIndex: number; resultCount: number }>();
  const [reader, setReader] = useState(false);
  const [asked, setAsked] = useState(false);
  const [terminate] = useMay([{ Action: 'ssm:TerminateSession', Resource: arns(session).session(id) }]);

  useEffect(() => {
    allowTerminalStyles();
    const term = new Terminal({
      allowProposedApi: true,
      cursorBlink: true,
      fontFamily: 'Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK JP", monospace',
      fontSize: 14,
      scrollback: 20000,
      minimumContrastRatio: 4.5,
      theme: { background: '#0f1b2a', foreground: '#e9ebed' },
    });
    const fit = new FitAddon();
    const finder = new SearchAddon();
    term.loadAddon(fit);
    term.loadAddon(finder);
    term.loadAddon(new Unicode11Addon());
    term.unicode.activeVersion = '11';
    term.open(place.current!);
    term.textarea?.setAttribute('aria-label', t('terminal.label'));
    terminal.current = term;
    search.current = finder;

    const started = takeStart(id);
    const kept = standingOf(id);
    if (kept === null && started === null) {
      setState('failed');
      setReason(t('terminal.elsewhere'));
      return () => term.dispose();
    }
    let token = started?.TokenValue ?? null;
    let unshown = 0;
    let over = false;
    let channel: Channel | null = null;
    const stop = () => {
      term.options.disableStdin = true;
      term.options.cursorBlink = false;
    };
    const open = async () => {
      const cipher = started === null && isSealed(id) ? await keptCipher(id) : null;
      if (over) return;
      if (started === null && isSealed(id) && !cipher) {
        setState('failed');
        setReason(t('terminal.keyless'));
        return stop();
      }
      setEncrypted(cipher !== null);
      channel = new Channel(
        id,
        async () => {
          if (token) {
            const first = token;
            token = null;
            return first;
          }
          const resumed = await call<{ TokenValue?: string }>('ssm', 'ResumeSession', { SessionId: id });
          return resumed.TokenValue ?? null;
        },
        (asked) => {
          markSealed(id);
          return newCipher(id, started?.Target ?? '', asked);
        },
        { next: kept ?? 0, continued: started === null, cipher, save: (next) => localStorage.setItem(standingKey(id), String(next)) },
        {
          output: (data) => {
            unshown += data.length;
            const shown = new Promise<void>((done) =>
              term.write(data, () => {
                unshown -= data.length;
                done();
              }),
            );
            return unshown > mostUnshown ? shown : Promise.resolve();
          },
          ready: (message) => {
            if (message) term.writeln(message);
            channel?.size(term.cols, term.rows);
          },
          state: setState,
          ended: (why) => {
            setState('ended');
            setReason(why);
            void forgetSession(id);
            stop();
          },
          encrypted: () => setEncrypted(true),
          refused: (e) => {
            setState('failed');
            setError(e instanceof Error && e.message === 'tampered' ? t('terminal.tampered') : e);
            stop();
          },
        },
      );
      if (started === null) channel.size(term.cols, term.rows);
    };
    void open();
    // Two pages on one session would take it from each other for ever: the newer one has it.
    const others = new BroadcastChannel(`sekisho.session.${id}`);
    others.postMessage('taken');
    others.onmessage = () => {
      over = true;
      channel?.close();
      setState('failed');
      setReason(t('terminal.taken'));
      stop();
    };
    term.onData((data) => channel?.input(data));
    term.onBinary((data) => channel?.input(data));
    term.onResize(({ cols, rows }) => channel?.size(cols, rows));
    finder.onDidChangeResults(setFound);
    // Ctrl-C is the shell's; with Shift it copies, as in other terminals.
    term.attachCustomKeyEventHandler((e) => {
      if (e.type === 'keydown' && e.ctrlKey && e.shiftKey && e.code === 'KeyC' && term.hasSelection()) {
        e.preventDefault();
        void navigator.clipboard.writeText(term.getSelection());
        return false;
      }
      if (e.type === 'keydown' && e.ctrlKey && e.shiftKey && e.code === 'KeyA') {
        e.preventDefault();
        term.selectAll();
        return false;
      }
      return !(e.ctrlKey && e.shiftKey && e.code === 'KeyV'); // the browser pastes
    });
    // A hidden terminal keeps its size.
    refit.current = () => {
      if (place.current?.clientHeight) fit.fit();
    };
    const observer = new ResizeObserver(() => refit.current());
    observer.observe(place.current!);
    refit.current();
    // For tests and for people with a debugger: what the terminal shows, as text.
    Object.assign(place.current!, {
      text: () => {
        const buffer = term.buffer.active;
        return Array.from({ length: buffer.length }, (_, i) => buffer.getLine(i)?.translateToString(true) ?? '').join('\n');
      },
    });
    return () => {
      over = true;
      observer.disconnect();
      others.close();
      channel?.close();
      term.dispose();
    };
    // The terminal is made once for a session; a change of language must not end it.
  }, [id]);

  useEffect(() => {
    if (!shown) return;
    refit.current();
    terminal.current?.focus();
  }, [shown]);

  const seek = (text: string, options: { back?: boolean; incremental?: boolean } = {}) => {
    if (!text) {
      search.current?.clearDecorations();
      setFound(undefined);
    } else if (options.back) search.current?.findPrevious(text, highlights);
    else search.current?.findNext(text, { ...highlights, incremental: options.incremental ?? false });
  };
  const resize = (by: number) => {
    const term = terminal.current;
    if (!term) return;
    term.options.fontSize = Math.min(40, Math.max(8, (term.options.fontSize ?? 14) + by));
    refit.current();
  };
  return (
    <div className="terminal-pane">
      <div className="terminal-bar">
        <Heading>{t('terminal.title', { id })}</Heading>
        <span role="status">
          <StatusIndicator type={looks[state]}>{t(`terminal.${state}`)}</StatusIndicator>
        </span>
        {encrypted && <Badge color="green">{t('terminal.encrypted')}</Badge>}
        <div className="terminal-tools">
          <SpaceBetween direction="horizontal" size="xs">
            <Input
              type="search"
              ariaLabel={t('terminal.find')}
              placeholder={t('terminal.find')}
              clearAriaLabel={t('common.clear')}
              value={find}
              onChange={({ detail }) => {
                setFind(detail.value);
                seek(detail.value, { incremental: true });
              }}
              onKeyDown={({ detail }) => {
                if (detail.key !== 'Enter') return;
                seek(find, { back: detail.shiftKey });
              }}
            />
            <span role="status" className="terminal-found">
              {find && found && (found.resultCount > 0 ? `${found.resultIndex + 1}/${found.resultCount}` : t('common.nomatch'))}
            </span>
            <Button iconName="zoom-out" ariaLabel={t('terminal.smaller')} onClick={() => resize(-1)} />
            <Button iconName="zoom-in" ariaLabel={t('terminal.bigger')} onClick={() => resize(1)} />
            <Toggle
              checked={reader}
              onChange={({ detail }) => {
                setReader(detail.checked);
                if (terminal.current) terminal.current.options.screenReaderMode = detail.checked;
              }}
            >
              {t('terminal.reader')}
            </Toggle>
            <Guarded answer={terminate} disabled={state === 'ended'} onClick={() => setAsked(true)}>
              {t('terminal.terminate')}
            </Guarded>
          </SpaceBetween>
        </div>
      </div>
      {Boolean(error || reason) && (
        <Box padding="xs">
          <SpaceBetween size="xs">
            <ErrorAlert error={error} />
            {error instanceof ServiceError && error.operation === 'kms:GenerateDataKey' && <Alert type="info">{t('terminal.encrypted.hint')}</Alert>}
            {reason && <Alert type={state === 'failed' ? 'error' : 'info'}>{reason}</Alert>}
          </SpaceBetween>
        </Box>
      )}
      <div className="terminal-screen" ref={place} data-testid="terminal" />
      {asked && (
        <Confirm
          title={t('sessions.terminate.title')}
          action={t('sessions.terminate')}
          command={['ssm', 'terminate-session', '--session-id', id]}
          close={() => setAsked(false)}
          run={async () => {
            await call('ssm', 'TerminateSession', { SessionId: id });
          }}
        >
          {t('sessions.terminate.text', { id })}
        </Confirm>
      )}
    </div>
  );
}
