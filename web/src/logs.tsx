import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Grid from '@cloudscape-design/components/grid';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Link from '@cloudscape-design/components/link';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Toggle from '@cloudscape-design/components/toggle';
import { useEffect, useMemo, useRef, useState } from 'react';
import { call } from './api';
import { useApp, useLoad } from './context';
import { type Column, List } from './list';
import { Command, CommandLine, DateTime, ErrorAlert, word } from './parts';
import { Bytes } from './recordings';
import { transcript } from './recordingscast';

interface Group {
  logGroupName: string;
  creationTime?: number;
  retentionInDays?: number;
  storedBytes?: number;
}

interface Stream {
  logStreamName: string;
  creationTime?: number;
  lastEventTimestamp?: number;
  storedBytes?: number;
}

interface LogEvent {
  eventId: string;
  logStreamName: string;
  timestamp: number;
  message: string;
}

/** The most rows that a list has, and the most events. */
const enough = 5000;
/** How often a live tail asks, in milliseconds. */
const tailEvery = 2000;
const hour = 3600e3;
const spans = { hour, day: 24 * hour, week: 7 * 24 * hour, all: 0 } as const;
type Span = keyof typeof spans;

const path = (...parts: string[]) => `#/logs/${parts.map(encodeURIComponent).join('/')}`;

/** The pages below #/logs: groups, the streams of one, the events of either. */
export default function Logs({ second, third }: { second?: string | undefined; third?: string | undefined }) {
  if (second) return <Events group={second} stream={third} />;
  return <Groups />;
}

/** Where a session's log is in a bucket. Objects are not for browsers: the page says how to get it. */
export function LogObject({ bucket, name }: { bucket: string; name: string }) {
  const { t } = useApp();
  const session = /([^/]+)\.log$/.exec(name)?.[1];
  return (
    <ContentLayout header={<Header variant="h1">{name.split('/').at(-1)}</Header>}>
      <SpaceBetween size="m">
        <Container>
          <KeyValuePairs
            columns={2}
            items={[
              { label: t('object.bucket'), value: bucket },
              { label: t('object.key'), value: <span className="said">{name}</span> },
              ...(session ? [{ label: t('object.session'), value: <Link href={`#/recordings/${encodeURIComponent(session)}`} ariaLabel={`${t('object.recording')}: ${session}`}>{t('object.recording')}</Link> }] : []),
            ]}
          />
        </Container>
        <Container>
          <SpaceBetween size="xs">
            <div>{t('object.how')}</div>
            <CommandLine line={['aws', 's3', 'cp', `s3://${bucket}/${name}`, '-'].map(word).join(' ')} />
          </SpaceBetween>
        </Container>
      </SpaceBetween>
    </ContentLayout>
  );
}

async function pages<T>(operation: string, member: string, input: object): Promise<T[]> {
  const list: T[] = [];
  let token: string | undefined;
  do {
    const page = await call<Record<string, unknown>>('logs', operation, token ? { ...input, nextToken: token } : input);
    list.push(...((page[member] as T[] | null) ?? []));
    token = page.nextToken as string | undefined;
  } while (token && list.length < enough);
  return list;
}

const date = (ms?: number) => new Date(ms ?? 0).toISOString();

function Groups() {
  const { t } = useApp();
  const loaded = useLoad(() => pages<Group>('DescribeLogGroups', 'logGroups', { limit: 50 }), 'groups');
  const columns = useMemo<Column<Group>[]>(
    () => [
      { id: 'name', header: t('logs.group'), text: (g) => g.logGroupName, cell: (g) => <Link href={path(g.logGroupName)}>{g.logGroupName}</Link> },
      { id: 'retention', header: t('logs.retention'), text: (g) => String(g.retentionInDays ?? '').padStart(6, '0'), cell: (g) => (g.retentionInDays ? t('logs.days', { count: g.retentionInDays }) : t('logs.forever')) },
      { id: 'bytes', header: t('logs.bytes'), text: (g) => String(g.storedBytes ?? 0).padStart(15, '0'), cell: (g) => <Bytes count={g.storedBytes ?? 0} /> },
      { id: 'created', header: t('access.created'), text: (g) => date(g.creationTime), cell: (g) => <DateTime seconds={(g.creationTime ?? 0) / 1000} /> },
    ],
    [t],
  );
  return (
    <ContentLayout header={<Header variant="h1">{t('logs.title')}</Header>}>
      <SpaceBetween size="m">
        <List<Group> title={t('logs.title')} loaded={loaded} columns={columns} id={(g) => g.logGroupName} empty={t('logs.empty')} />
        <Command args={['logs', 'describe-log-groups']} />
      </SpaceBetween>
    </ContentLayout>
  );
}

function Streams({ group }: { group: string }) {
  const { t } = useApp();
  const loaded = useLoad(() => pages<Stream>('DescribeLogStreams', 'logStreams', { logGroupName: group, orderBy: 'LastEventTime', descending: true, limit: 50 }), group);
  const columns = useMemo<Column<Stream>[]>(
    () => [
      { id: 'name', header: t('logs.stream'), text: (s) => s.logStreamName, cell: (s) => <Link href={path(group, s.logStreamName)}>{s.logStreamName}</Link> },
      { id: 'last', header: t('logs.last'), text: (s) => date(s.lastEventTimestamp), cell: (s) => <DateTime seconds={(s.lastEventTimestamp ?? 0) / 1000} /> },
      { id: 'created', header: t('access.created'), text: (s) => date(s.creationTime), cell: (s) => <DateTime seconds={(s.creationTime ?? 0) / 1000} /> },
    ],
    [t, group],
  );
  return <List<Stream> title={t('logs.streams')} loaded={loaded} columns={columns} id={(s) => s.logStreamName} empty={t('logs.streams.empty')} />;
}

interface Asked {
  filterPattern: string;
  span: Span;
}

function Events({ group, stream }: { group: string; stream?: string | undefined }) {
  const { t } = useApp();
  const [pattern, setPattern] = useState('');
  const [asked, setAsked] = useState<Asked>({ filterPattern: '', span: 'day' });
  const [tail, setTail] = useState(false);
  const [raw, setRaw] = useState(false);
  const input = { logGroupName: group, ...(stream && { logStreamNames: [stream] }), ...(asked.filterPattern && { filterPattern: asked.filterPattern }) };
  const key = JSON.stringify([input, asked.span]);
  const loaded = useLoad(async () => {
    const span = spans[asked.span];
    return pages<LogEvent>('FilterLogEvents', 'events', { ...input, limit: 1000, ...(span > 0 && { startTime: Date.now() - span }) });
  }, key);
  const { events, error } = useTail(input, loaded.data, tail);
  const options = (Object.keys(spans) as Span[]).map((value) => ({ value, label: t(`logs.span.${value}`) }));
  return (
    <ContentLayout header={<Header variant="h1" description={stream ? <Link href={path(group)}>{group}</Link> : undefined}>{stream ?? group}</Header>}>
      <SpaceBetween size="m">
        {!stream && <Streams group={group} />}
        <Container
          header={
            <Header
              variant="h2"
              counter={`(${events.length})`}
              actions={
                <SpaceBetween direction="horizontal" size="m">
                  <Toggle checked={tail} onChange={({ detail }) => setTail(detail.checked)}>
                    {t('logs.tail')}
                  </Toggle>
                  <Toggle checked={raw} onChange={({ detail }) => setRaw(detail.checked)}>
                    {t('logs.raw')}
                  </Toggle>
                  <Button iconName="refresh" ariaLabel={t('common.refresh')} loading={loaded.loading} onClick={loaded.reload} />
                </SpaceBetween>
              }
            >
              {t('logs.events')}
            </Header>
          }
        >
          <SpaceBetween size="s">
            <form
              onSubmit={(e) => {
                e.preventDefault();
                setAsked({ ...asked, filterPattern: pattern.trim() });
              }}
            >
              <Grid gridDefinition={[{ colspan: { default: 12, s: 8 } }, { colspan: { default: 12, s: 4 } }]}>
                <FormField label={t('logs.pattern')} description={t('logs.pattern.hint')}>
                  <Input type="search" clearAriaLabel={t('common.clear')} value={pattern} onChange={({ detail }) => setPattern(detail.value)} />
                </FormField>
                <FormField label={t('logs.span')} description={t('logs.span.hint')}>
                  <Select options={options} selectedOption={options.find((o) => o.value === asked.span) ?? null} onChange={({ detail }) => setAsked({ ...asked, span: detail.selectedOption.value as Span })} />
                </FormField>
              </Grid>
            </form>
            <ErrorAlert error={loaded.error ?? error} />
            {tail && !error && (
              <span role="status">
                <StatusIndicator type="in-progress">{t('logs.tailing')}</StatusIndicator>
              </span>
            )}
            {loaded.loading && !loaded.data && <Spinner />}
            {events.length >= enough && <Alert type="info">{t('logs.many', { count: enough })}</Alert>}
            {loaded.data && events.length === 0 && <div>{t('logs.events.empty')}</div>}
            <Lines events={events} raw={raw} streams={!stream} follow={tail} />
          </SpaceBetween>
        </Container>
        <Command
          args={
            tail
              ? ['logs', 'tail', group, '--follow', ...(stream ? ['--log-stream-names', stream] : []), ...(asked.filterPattern ? ['--filter-pattern', asked.filterPattern] : [])]
              : ['logs', 'filter-log-events', '--log-group-name', group, ...(stream ? ['--log-stream-names', stream] : []), ...(asked.filterPattern ? ['--filter-pattern', asked.filterPattern] : [])]
          }
        />
      </SpaceBetween>
    </ContentLayout>
  );
}

/** Events that were loaded, and while on is true those that come after. */
function useTail(input: object, loaded: LogEvent[] | undefined, on: boolean): { events: LogEvent[]; error: unknown } {
  const [later, setLater] = useState<LogEvent[]>([]);
  const [error, setError] = useState<unknown>();
  const key = JSON.stringify(input);
  const since = useRef(0);
  useEffect(() => {
    setLater([]);
    setError(undefined);
    since.current = loaded?.at(-1)?.timestamp ?? 0;
  }, [loaded]);
  useEffect(() => {
    if (!on || !loaded) return;
    const known = new Set(loaded.map((e) => e.eventId));
    let over = false;
    let timer = 0;
    const look = async () => {
      try {
        // Events may come late: a minute is looked at again.
        const startTime = since.current > 0 ? Math.max(0, since.current - 60_000) : Date.now() - 60_000;
        const found = await pages<LogEvent>('FilterLogEvents', 'events', { ...(JSON.parse(key) as object), limit: 1000, startTime });
        if (over) return;
        const fresh = found.filter((e) => !known.has(e.eventId));
        for (const e of fresh) {
          known.add(e.eventId);
          since.current = Math.max(since.current, e.timestamp);
        }
        setError(undefined);
        if (fresh.length > 0) setLater((list) => [...list, ...fresh].slice(-enough));
      } catch (e) {
        if (over) return;
        setError(e);
      }
      timer = window.setTimeout(() => void look(), tailEvery);
    };
    void look();
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [on, key, loaded]);
  const events = useMemo(() => {
    const seen = new Set<string>();
    return [...(loaded ?? []), ...later].filter((e) => !seen.has(e.eventId) && seen.add(e.eventId)).slice(-enough);
  }, [loaded, later]);
  return { events, error };
}

/** What a message says: of a session's events, what the session showed. */
function said(message: string): string {
  let text = message;
  try {
    const { sessionData } = JSON.parse(message) as { sessionData?: unknown };
    if (Array.isArray(sessionData)) text = sessionData.join('\n');
  } catch {
    // No JSON: it is the text.
  }
  return transcript([{ at: 0, kind: 'o', data: text }])
    .map((l) => l.text)
    .join('\n');
}

function Lines({ events, raw, streams, follow }: { events: LogEvent[]; raw: boolean; streams: boolean; follow: boolean }) {
  const { t, language } = useApp();
  const box = useRef<HTMLDivElement>(null);
  const format = useMemo(() => new Intl.DateTimeFormat(language === 'ja' ? 'ja-JP' : 'en-GB', { dateStyle: 'short', timeStyle: 'medium' }), [language]);
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [events, follow]);
  if (events.length === 0) return null;
  return (
    <div className="log-events" ref={box} role="log" aria-live="off" aria-label={t('logs.events')} tabIndex={0} data-testid="events">
      {events.map((e) => (
        <div key={e.eventId} className="log-event">
          <time dateTime={new Date(e.timestamp).toISOString()}>{format.format(e.timestamp)}</time>
          {streams && <span className="log-stream">{e.logStreamName}</span>}
          <span className="log-text">{raw ? e.message : said(e.message)}</span>
        </div>
      ))}
    </div>
  );
}
