import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useEffect, useRef, useState } from 'react';
import { ServiceError, call } from './api';
import { arns, go, useApp, useMay } from './context';
import { Command, Confirm, ErrorAlert, Guarded } from './parts';
import { addLines, noCast } from './recordingscast';
import { Screen } from './recordingsscreen';

type State = 'connecting' | 'watching' | 'reconnecting' | 'ended' | 'failed';

const looks = { connecting: 'in-progress', watching: 'success', reconnecting: 'warning', ended: 'stopped', failed: 'error' } as const;

/** Between two tries to reach a server that is away, in milliseconds. */
const retry = 2000;

/** What a session that runs shows, as its owner sees it. */
export default function Live({ id }: { id: string }) {
  const { session, t, flash } = useApp();
  const place = useRef<HTMLDivElement>(null);
  const [state, setState] = useState<State>('connecting');
  const [error, setError] = useState<unknown>();
  const [asked, setAsked] = useState(false);
  const [terminate] = useMay([{ Action: 'ssm:TerminateSession', Resource: arns(session).session(id) }]);

  useEffect(() => {
    let over = false;
    let screen: Screen | undefined;
    const watch = async () => {
      let cursor: string | undefined;
      while (!over) {
        try {
          const page: { Cast: string; Cursor: string; Ended: boolean } = await call('sekisho', 'WatchSession', { SessionId: id, ...(cursor && { Cursor: cursor }) });
          if (over) return;
          const cast = addLines(noCast(), page.Cast);
          screen ??= new Screen(place.current!, t('rec.screen'), cast.width, cast.height);
          screen.show(cast.events);
          cursor = page.Cursor;
          setState(page.Ended ? 'ended' : 'watching');
          if (page.Ended) return;
        } catch (e) {
          if (over) return;
          if (!(e instanceof ServiceError) || e.code !== 'NetworkError') {
            setError(e);
            setState('failed');
            return;
          }
          setState('reconnecting');
          await new Promise((done) => window.setTimeout(done, retry));
        }
      }
    };
    void watch();
    return () => {
      over = true;
      screen?.dispose();
    };
    // A change of language must not begin anew.
  }, [id]);

  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button onClick={() => go(`/recordings/${encodeURIComponent(id)}`)}>{t('rec.one')}</Button>
              <Guarded answer={terminate} disabled={state === 'ended'} onClick={() => setAsked(true)}>
                {t('sessions.terminate')}
              </Guarded>
            </SpaceBetween>
          }
        >
          {t('live.title', { id })}
        </Header>
      }
    >
      <SpaceBetween size="m">
        <ErrorAlert error={error} />
        <Container
          header={
            <Header variant="h2" info={<span role="status"><StatusIndicator type={looks[state]}>{t(`live.${state}`)}</StatusIndicator></span>}>
              {t('rec.screen')}
            </Header>
          }
        >
          <div className="recording-screen" ref={place} data-testid="live" />
        </Container>
        <Alert type="info">{t('live.audited')}</Alert>
        <Command args={['sekisho', 'sessions', 'watch', id]} />
      </SpaceBetween>
      {asked && (
        <Confirm
          title={t('sessions.terminate.title')}
          action={t('sessions.terminate')}
          command={['ssm', 'terminate-session', '--session-id', id]}
          close={() => setAsked(false)}
          run={async () => {
            await call('ssm', 'TerminateSession', { SessionId: id });
            flash('success', t('sessions.terminated', { id }));
          }}
        >
          {t('sessions.terminate.text', { id })}
        </Confirm>
      )}
    </ContentLayout>
  );
}
