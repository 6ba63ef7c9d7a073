import Button from '@cloudscape-design/components/button';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Tabs from '@cloudscape-design/components/tabs';
import { useEffect, useMemo, useState } from 'react';
import { all, call } from './api';
import { arns, go, useApp, useLoad, useMay } from './context';
import { dock } from './docked';
import { type Column, List } from './list';
import { Command, Confirm, DateTime, Guarded } from './parts';
import { Preferences } from './preferences';
import { type Started, leaveStart, standingOf, takeStart } from './standing';

export interface SessionRow {
  SessionId: string;
  Target: string;
  Status: 'Connected' | 'Connecting' | 'Disconnected' | 'Terminated' | 'Terminating' | 'Failed';
  StartDate?: number;
  EndDate?: number;
  DocumentName?: string;
  Owner?: string;
  Reason?: string;
  Details?: string;
  OutputUrl?: { S3OutputUrl?: string; CloudWatchOutputUrl?: string };
}

const looks = {
  Connected: 'success',
  Connecting: 'in-progress',
  Disconnected: 'warning',
  Terminating: 'in-progress',
  Terminated: 'stopped',
  Failed: 'error',
} as const;

export function SessionManager({ tab }: { tab: string }) {
  const { t } = useApp();
  return (
    <ContentLayout header={<Header variant="h1">{t('nav.session-manager')}</Header>}>
      <Tabs
        ariaLabel={t('nav.session-manager')}
        activeTabId={tab}
        onChange={({ detail }) => go(detail.activeTabId === 'active' ? '/sessions' : `/sessions/${detail.activeTabId}`)}
        tabs={[
          { id: 'active', label: t('sessions.tab.active'), content: tab === 'active' && <ActiveSessions /> },
          { id: 'history', label: t('sessions.tab.history'), content: tab === 'history' && <History /> },
          { id: 'preferences', label: t('sessions.tab.preferences'), content: tab === 'preferences' && <Preferences /> },
        ]}
      />
    </ContentLayout>
  );
}

function useColumns(history: boolean): Column<SessionRow>[] {
  const { t } = useApp();
  return useMemo(() => {
    const list: Column<SessionRow>[] = [
      { id: 'id', header: t('sessions.id'), text: (s) => s.SessionId, cell: (s) => s.SessionId },
      { id: 'owner', header: t('sessions.owner'), text: (s) => s.Owner ?? '', cell: (s) => s.Owner?.replace(/^.*?:(user|assumed-role)\//, '') ?? t('common.none') },
      { id: 'target', header: t('sessions.target'), text: (s) => s.Target, cell: (s) => <Link href={`#/fleet/${encodeURIComponent(s.Target)}`}>{s.Target}</Link> },
      {
        id: 'status',
        header: t('sessions.status'),
        text: (s) => `${t(`status.${s.Status}`)} ${s.Status}`,
        cell: (s) => <StatusIndicator type={looks[s.Status]}>{t(`status.${s.Status}`)}</StatusIndicator>,
      },
      { id: 'start', header: t('sessions.started'), text: (s) => new Date((s.StartDate ?? 0) * 1000).toISOString(), cell: (s) => <DateTime seconds={s.StartDate} /> },
    ];
    if (history) {
      list.push(
        { id: 'end', header: t('sessions.ended'), text: (s) => new Date((s.EndDate ?? 0) * 1000).toISOString(), cell: (s) => <DateTime seconds={s.EndDate} /> },
        {
          id: 'output',
          header: t('sessions.output'),
          text: (s) => `${s.OutputUrl?.S3OutputUrl ?? ''} ${s.OutputUrl?.CloudWatchOutputUrl ?? ''}`,
          cell: (s) => <Output of={s} />,
        },
        {
          id: 'recording',
          header: t('rec.one'),
          text: () => '',
          cell: (s) =>
            recorded.test(s.Details ?? '') ? (
              <Link href={`#/recordings/${encodeURIComponent(s.SessionId)}`} ariaLabel={`${t('rec.one')}: ${s.SessionId}`}>
                {t('rec.one')}
              </Link>
            ) : (
              t('common.none')
            ),
        },
        { id: 'details', header: t('sessions.details'), text: (s) => s.Details ?? '', cell: (s) => s.Details?.replace(recorded, '').trim() || t('common.none') },
      );
    }
    list.push(
      { id: 'document', header: t('sessions.document'), text: (s) => s.DocumentName ?? '', cell: (s) => s.DocumentName ?? t('common.none') },
      { id: 'reason', header: t('sessions.reason'), text: (s) => s.Reason ?? '', cell: (s) => s.Reason || t('common.none') },
    );
    return list;
  }, [t, history]);
}

/** What the details of a session end in that has a recording: its address. */
const recorded = /\s*Recording: \S+$/;

/** The group and the stream that a session's log is in, of the address that the service gives. */
export function streamOf(address?: string): [string, string] | null {
  const found = /#logEventViewer:group=([^;]*);stream=([^;]*)$/.exec(address ?? '');
  const [group, stream] = (found?.slice(1) ?? []).map((part) => decodeURIComponent(part.replaceAll('+', ' ')));
  return group && stream ? [group, stream] : null;
}

/** Where a session's log is. */
function Output({ of: s }: { of: SessionRow }) {
  const { t } = useApp();
  const log = streamOf(s.OutputUrl?.CloudWatchOutputUrl);
  const object = /\/s3\/object\/([^/]+)\/([^?]+)/.exec(s.OutputUrl?.S3OutputUrl ?? '')?.slice(1).map(decodeURIComponent);
  if (!log && !object) return <>{t('common.none')}</>;
  return (
    <SpaceBetween size="xxs">
      {object && (
        <Link href={`#/objects/${object.map(encodeURIComponent).join('/')}`} ariaLabel={`s3://${object.join('/')}`}>
          {t('sessions.output.s3')}
        </Link>
      )}
      {log && (
        <Link href={`#/logs/${log.map(encodeURIComponent).join('/')}`} ariaLabel={`${t('sessions.output.logs')}: ${s.SessionId}`}>
          {t('sessions.output.logs')}
        </Link>
      )}
    </SpaceBetween>
  );
}

function ActiveSessions() {
  const { session, t, flash } = useApp();
  const loaded = useLoad(() => all<SessionRow>('DescribeSessions', 'Sessions', { State: 'Active', MaxResults: 200 }), 'active');
  const [chosen, setChosen] = useState<SessionRow>();
  const [asked, setAsked] = useState(false);
  const selected = loaded.data?.find((s) => s.SessionId === chosen?.SessionId);
  // What is on its way to another state is looked at again.
  const moving = loaded.data?.some((s) => s.Status === 'Terminating' || s.Status === 'Connecting') ?? false;
  const { reload } = loaded;
  useEffect(() => {
    if (!moving) return;
    const timer = window.setInterval(reload, 2000);
    return () => window.clearInterval(timer);
  }, [moving, reload]);
  const resource = arns(session).session(selected?.SessionId ?? '');
  const [terminate, resume, watch] = useMay(
    selected ? ['ssm:TerminateSession', 'ssm:ResumeSession', 'sekisho:WatchSession'].map((Action) => ({ Action, Resource: resource })) : [],
  );
  const columns = useColumns(false);
  const unchosen = selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') };
  const elsewhere = selected && standingOf(selected.SessionId) === null ? { disabled: true, disabledReason: t('terminal.elsewhere') } : undefined;
  return (
    <SpaceBetween size="m">
      <List<SessionRow>
        title={t('sessions.tab.active')}
        loaded={loaded}
        columns={columns}
        id={(s) => s.SessionId}
        empty={t('sessions.empty')}
        selected={selected}
        select={setChosen}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Guarded answer={terminate} {...unchosen} onClick={() => setAsked(true)}>
              {t('sessions.terminate')}
            </Guarded>
            <Guarded answer={watch} {...unchosen} onClick={() => selected && go(`/live/${encodeURIComponent(selected.SessionId)}`)}>
              {t('live.watch')}
            </Guarded>
            <Guarded answer={resume} {...(unchosen ?? elsewhere)} onClick={() => selected && window.open(`#/terminal/${encodeURIComponent(selected.SessionId)}`)}>
              {t('sessions.resume')}
            </Guarded>
            <Guarded answer={resume} {...(unchosen ?? elsewhere)} onClick={() => selected && dock(selected.SessionId)}>
              {t('dock.resume')}
            </Guarded>
            <Button variant="primary" onClick={() => go('/sessions/start')}>
              {t('sessions.start')}
            </Button>
          </SpaceBetween>
        }
      />
      <Command args={['ssm', 'describe-sessions', '--state', 'Active']} />
      {asked && selected && (
        <Confirm
          title={t('sessions.terminate.title')}
          action={t('sessions.terminate')}
          command={['ssm', 'terminate-session', '--session-id', selected.SessionId]}
          close={() => setAsked(false)}
          run={async () => {
            await call('ssm', 'TerminateSession', { SessionId: selected.SessionId });
            flash('success', t('sessions.terminated', { id: selected.SessionId }));
            loaded.reload();
          }}
        >
          {t('sessions.terminate.text', { id: selected.SessionId })}
        </Confirm>
      )}
    </SpaceBetween>
  );
}

function History() {
  const { t } = useApp();
  const loaded = useLoad(() => all<SessionRow>('DescribeSessions', 'Sessions', { State: 'History', MaxResults: 200 }, 5000), 'history');
  const columns = useColumns(true);
  return (
    <SpaceBetween size="m">
      <List<SessionRow> title={t('sessions.tab.history')} loaded={loaded} columns={columns} id={(s) => s.SessionId} empty={t('sessions.history.empty')} />
      <Command args={['ssm', 'describe-sessions', '--state', 'History']} />
    </SpaceBetween>
  );
}

/** Opens the terminal of a session that was just started in a tab of its own. The token goes by the new tab's own storage. */
export function openTerminal(started: Started): boolean {
  leaveStart(started);
  const tab = window.open(`#/terminal/${encodeURIComponent(started.SessionId)}`);
  takeStart(started.SessionId);
  return tab !== null;
}

