import '@xterm/xterm/css/xterm.css';
import Alert from '@cloudscape-design/components/alert';
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
import { call } from './api';
import { Channel } from './channel';
import { arns, useApp, useMay } from './context';
import { Confirm, Guarded } from './parts';
import { standingKey, standingOf } from './standing';
import { allowTerminalStyles } from './styles';

type State = 'connecting' | 'connected' | 'reconnecting' | 'ended' | 'failed';

const looks = { connecting: 'in-progress', connected: 'success', reconnecting: 'warning', ended: 'stopped', failed: 'error' } as const;

export default function TerminalPage({ id }: { id: string }) {
  const { session, t } = useApp();
  const place = useRef<HTMLDivElement>(null);
  const terminal = useRef<Terminal>(null);
  const search = useRef<SearchAddon>(null);
  const refit = useRef(() => {});
  const [state, setState] = useState<State>('connecting');
  const [reason, setReason] = useState('');
  const [encrypted, setEncrypted] = useState(false);
  const [find, setFind] = useState('');
  const [reader, setReader] = useState(false);
  const [asked, setAsked] = useState(false);
  const [terminate] = useMay([{ Action: 'ssm:TerminateSession', Resource: arns(session).session(id) }]);

  useEffect(() => {
    document.title = t('terminal.title', { id });
  }, [t, id]);

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

    const started = `sekisho.start.${id}`;
    let token = sessionStorage.getItem(started);
    sessionStorage.removeItem(started);
    let broken = false;
    const kept = standingOf(id);
    if (kept === null && token === null) {
      setState('failed');
      setReason(t('terminal.elsewhere'));
      return () => term.dispose();
    }
    const channel = new Channel(
      id,
      async () => {
        if (token) {
          const first = token;
          token = null;
          return first;
        }
        try {
          const resumed = await call<{ TokenValue?: string }>('ssm', 'ResumeSession', { SessionId: id });
          return resumed.TokenValue ?? null;
        } catch (e) {
          broken = (e as { code?: string }).code !== 'NetworkError';
          throw e;
        }
      },
      { next: kept ?? 0, continued: token === null, save: (next) => localStorage.setItem(standingKey(id), String(next)) },
      {
        output: (data) => new Promise((shown) => term.write(data, shown)),
        ready: (message) => {
          if (message) term.writeln(message);
          channel.size(term.cols, term.rows);
        },
        state: setState,
        ended: (why) => {
          setState(broken ? 'failed' : 'ended');
          setReason(why);
          if (!broken) localStorage.removeItem(standingKey(id));
          term.options.disableStdin = true;
          term.options.cursorBlink = false;
        },
        encrypted: () => setEncrypted(true),
      },
    );
    // Two pages on one session would take it from each other for ever: the newer one has it.
    const others = new BroadcastChannel(`sekisho.session.${id}`);
    others.postMessage('taken');
    others.onmessage = () => {
      channel.close();
      setState('failed');
      setReason(t('terminal.taken'));
      term.options.disableStdin = true;
    };
    if (token === null) channel.size(term.cols, term.rows);
    term.onData((data) => channel.input(data));
    term.onBinary((data) => channel.input(data));
    term.onResize(({ cols, rows }) => channel.size(cols, rows));
    // Ctrl-C is the shell's; with Shift it copies, as in other terminals.
    term.attachCustomKeyEventHandler((e) => {
      if (e.type === 'keydown' && e.ctrlKey && e.shiftKey && e.code === 'KeyC' && term.hasSelection()) {
        e.preventDefault();
        void navigator.clipboard.writeText(term.getSelection());
        return false;
      }
      return !(e.ctrlKey && e.shiftKey && e.code === 'KeyV'); // the browser pastes
    });
    refit.current = () => fit.fit();
    const observer = new ResizeObserver(() => fit.fit());
    observer.observe(place.current!);
    fit.fit();
    term.focus();
    // For tests and for people with a debugger: what the terminal shows, as text.
    Object.assign(place.current!, {
      text: () => {
        const buffer = term.buffer.active;
        return Array.from({ length: buffer.length }, (_, i) => buffer.getLine(i)?.translateToString(true) ?? '').join('\n');
      },
    });
    return () => {
      observer.disconnect();
      others.close();
      channel.close();
      term.dispose();
    };
    // The terminal is made once for a session; a change of language must not end it.
  }, [id]);

  const resize = (by: number) => {
    const term = terminal.current;
    if (!term) return;
    term.options.fontSize = Math.min(40, Math.max(8, (term.options.fontSize ?? 14) + by));
    refit.current();
  };
  return (
    <main className="terminal-page">
      <div className="terminal-bar">
        <h1>{t('terminal.title', { id })}</h1>
        <span role="status">
          <StatusIndicator type={looks[state]}>{t(`terminal.${state}`)}</StatusIndicator>
        </span>
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
                if (detail.value) search.current?.findNext(detail.value, { incremental: true });
              }}
              onKeyDown={({ detail }) => {
                if (detail.key !== 'Enter') return;
                if (detail.shiftKey) search.current?.findPrevious(find);
                else search.current?.findNext(find);
              }}
            />
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
      {(encrypted || reason) && (
        <Box padding="xs">
          <Alert type={encrypted || state === 'failed' ? 'error' : 'info'}>{encrypted ? t('terminal.encrypted') : reason}</Alert>
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
    </main>
  );
}
