import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import DatePicker from '@cloudscape-design/components/date-picker';
import FormField from '@cloudscape-design/components/form-field';
import Grid from '@cloudscape-design/components/grid';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Tabs from '@cloudscape-design/components/tabs';
import { useMemo, useState } from 'react';
import { call } from './api';
import { arns, go, useApp, useLoad, useMay } from './context';
import { type Column, List } from './list';
import { Command, Confirm, DateTime, ErrorAlert, Guarded } from './parts';
import { type Cast, type Line, addLines, clock, noCast, transcript } from './recordingscast';
import { Player } from './recordingsplayer';

interface Recording {
  SessionId: string;
  Target: string;
  Owner: string;
  DocumentName: string;
  SessionType: string;
  KmsKeyId?: string;
  StartedAt: number;
  EndedAt?: number;
  Bytes: number;
  Closed: boolean;
  LegalHold: boolean;
  LegalHoldReason?: string;
}

export interface Flow {
  OffsetSeconds: number;
  BytesToNode?: number;
  BytesFromNode?: number;
  Detail?: string;
}

interface Hit {
  SessionId: string;
  Target: string;
  Owner: string;
  StartedAt: number;
  Excerpt: string;
  OffsetSeconds: number;
}

/** The most rows that a list gets, and the most of a recording that a page holds, in characters. */
const enough = 2000;
const longest = 64 << 20;

const who = (arn: string) => arn.replace(/^.*?:(user|assumed-role)\//, '');
const path = (id: string, at?: number) => `#/recordings/${encodeURIComponent(id)}${at === undefined ? '' : `/${at}`}`;

/** The pages below #/recordings. */
export default function Recordings({ second, third }: { second?: string | undefined; third?: string | undefined }) {
  const { t } = useApp();
  if (second && second !== 'search') return <Details id={second} from={Number(third) || 0} />;
  const tab = second ?? 'list';
  return (
    <ContentLayout header={<Header variant="h1">{t('rec.title')}</Header>}>
      <Tabs
        ariaLabel={t('rec.title')}
        activeTabId={tab}
        onChange={({ detail }) => go(detail.activeTabId === 'list' ? '/recordings' : '/recordings/search')}
        tabs={[
          { id: 'list', label: t('rec.title'), content: tab === 'list' && <All /> },
          { id: 'search', label: t('rec.search'), content: tab === 'search' && <Search /> },
        ]}
      />
    </ContentLayout>
  );
}

interface Filter {
  owner: string;
  node: string;
  after: string;
  before: string;
}

const noFilter: Filter = { owner: '', node: '', after: '', before: '' };

/** The filter as the operations take it: days are those of the reader's clock. */
function wanted(f: Filter, account: string) {
  const day = (s: string, later = 0) => {
    const date = new Date(`${s}T00:00:00`);
    date.setDate(date.getDate() + later);
    return Math.floor(date.getTime() / 1000);
  };
  const owner = f.owner.trim();
  return {
    ...(owner && { Principal: owner.startsWith('arn:') ? owner : `arn:aws:iam::${account}:user/${owner}` }),
    ...(f.node.trim() && { Target: f.node.trim() }),
    ...(f.after && { StartedAfter: day(f.after) }),
    ...(f.before && { StartedBefore: day(f.before, 1) }),
  };
}

function FilterBar({ value, change, apply }: { value: Filter; change: (f: Filter) => void; apply: () => void }) {
  const { t } = useApp();
  const day = (key: 'after' | 'before') => (
    <FormField label={t(`rec.${key}`)}>
      <DatePicker
        value={value[key]}
        placeholder="YYYY/MM/DD"
        openCalendarAriaLabel={() => t('rec.calendar', { field: t(`rec.${key}`) })}
        onChange={({ detail }) => change({ ...value, [key]: detail.value })}
      />
    </FormField>
  );
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        apply();
      }}
    >
      <SpaceBetween size="s">
        <Grid gridDefinition={Array(4).fill({ colspan: { default: 12, xs: 6, m: 3 } })}>
          <FormField label={t('sessions.owner')} description={t('rec.owner.hint')}>
            <Input value={value.owner} onChange={({ detail }) => change({ ...value, owner: detail.value })} />
          </FormField>
          <FormField label={t('sessions.target')} description={t('rec.node.hint')}>
            <Input value={value.node} onChange={({ detail }) => change({ ...value, node: detail.value })} />
          </FormField>
          {day('after')}
          {day('before')}
        </Grid>
        <Button formAction="submit">{t('rec.apply')}</Button>
      </SpaceBetween>
    </form>
  );
}

/** Calls an operation until it has no more pages, or until there are enough. */
async function pages<T>(operation: string, member: string, input: object): Promise<T[]> {
  const list: T[] = [];
  let token: string | undefined;
  do {
    const page = await call<Record<string, unknown>>('sekisho', operation, token ? { ...input, NextToken: token } : input);
    list.push(...((page[member] as T[] | null) ?? []));
    token = page.NextToken as string | undefined;
  } while (token && list.length < enough);
  return list;
}

const seconds = (n?: number) => new Date((n ?? 0) * 1000).toISOString();

function All() {
  const { session, t } = useApp();
  const [filter, setFilter] = useState(noFilter);
  const [asked, setAsked] = useState<object>({});
  const loaded = useLoad(() => pages<Recording>('ListRecordings', 'Recordings', { ...asked, MaxResults: 200 }), JSON.stringify(asked));
  const columns = useMemo<Column<Recording>[]>(
    () => [
      { id: 'id', header: t('sessions.id'), text: (r) => r.SessionId, cell: (r) => <Link href={path(r.SessionId)}>{r.SessionId}</Link> },
      { id: 'owner', header: t('sessions.owner'), text: (r) => r.Owner, cell: (r) => who(r.Owner) },
      { id: 'target', header: t('sessions.target'), text: (r) => r.Target, cell: (r) => <Link href={`#/fleet/${encodeURIComponent(r.Target)}`}>{r.Target}</Link> },
      { id: 'start', header: t('sessions.started'), text: (r) => seconds(r.StartedAt), cell: (r) => <DateTime seconds={r.StartedAt} /> },
      { id: 'end', header: t('sessions.ended'), text: (r) => seconds(r.EndedAt), cell: (r) => <DateTime seconds={r.EndedAt ?? 0} /> },
      { id: 'state', header: t('sessions.status'), text: (r) => t(r.Closed ? 'rec.closed' : 'rec.open'), cell: (r) => <StatusIndicator type={r.Closed ? 'stopped' : 'in-progress'}>{t(r.Closed ? 'rec.closed' : 'rec.open')}</StatusIndicator> },
      { id: 'bytes', header: t('rec.bytes'), text: (r) => String(r.Bytes).padStart(15, '0'), cell: (r) => <Bytes count={r.Bytes} /> },
      { id: 'hold', header: t('rec.hold'), text: (r) => (r.LegalHold ? t('common.yes') : t('common.no')), cell: (r) => (r.LegalHold ? t('common.yes') : t('common.no')) },
      { id: 'document', header: t('sessions.document'), text: (r) => r.DocumentName, cell: (r) => r.DocumentName || t('common.none') },
    ],
    [t],
  );
  return (
    <SpaceBetween size="m">
      <FilterBar value={filter} change={setFilter} apply={() => setAsked(wanted(filter, session.Account))} />
      <List<Recording> title={t('rec.title')} loaded={loaded} columns={columns} id={(r) => r.SessionId} empty={t('rec.empty')} />
      <Command args={['sekisho', 'recordings', 'list']} />
    </SpaceBetween>
  );
}

function Search() {
  const { session, t } = useApp();
  const [query, setQuery] = useState('');
  const [filter, setFilter] = useState(noFilter);
  const [asked, setAsked] = useState<{ Query: string }>();
  const loaded = useLoad(async () => (asked ? pages<Hit>('SearchTranscripts', 'Hits', { ...asked, MaxResults: 100 }) : []), JSON.stringify(asked ?? null));
  const columns = useMemo<Column<Hit>[]>(
    () => [
      { id: 'id', header: t('sessions.id'), text: (h) => h.SessionId, cell: (h) => <Link href={path(h.SessionId, h.OffsetSeconds)}>{h.SessionId}</Link> },
      { id: 'excerpt', header: t('rec.excerpt'), text: (h) => h.Excerpt, cell: (h) => <Box variant="code">{h.Excerpt}</Box> },
      { id: 'offset', header: t('rec.offset'), text: (h) => String(h.OffsetSeconds).padStart(12, '0'), cell: (h) => clock(h.OffsetSeconds) },
      { id: 'owner', header: t('sessions.owner'), text: (h) => h.Owner, cell: (h) => who(h.Owner) },
      { id: 'target', header: t('sessions.target'), text: (h) => h.Target, cell: (h) => h.Target },
      { id: 'start', header: t('sessions.started'), text: (h) => seconds(h.StartedAt), cell: (h) => <DateTime seconds={h.StartedAt} /> },
    ],
    [t],
  );
  const apply = () => query.trim().length >= 2 && setAsked({ Query: query.trim(), ...wanted(filter, session.Account) });
  return (
    <SpaceBetween size="m">
      <FormField label={t('rec.query')} description={t('rec.query.hint')}>
        <Input type="search" clearAriaLabel={t('common.clear')} value={query} onChange={({ detail }) => setQuery(detail.value)} onKeyDown={({ detail }) => detail.key === 'Enter' && !detail.isComposing && apply()} />
      </FormField>
      <FilterBar value={filter} change={setFilter} apply={apply} />
      {asked && <List<Hit> title={t('rec.hits')} loaded={loaded} columns={columns} id={(h) => h.SessionId} empty={t('common.nomatch')} />}
      <Command args={['sekisho', 'recordings', 'search', query || 'TEXT']} />
    </SpaceBetween>
  );
}

interface Whole {
  recording: Recording;
  cast: Cast;
  flows: Flow[];
  cut: boolean;
}

async function wholeRecording(id: string): Promise<Whole> {
  const cast = noCast();
  const flows: Flow[] = [];
  let offset: number | undefined;
  let size = 0;
  for (;;) {
    const part: { Recording: Recording; Cast?: string; Flows?: Flow[]; NextOffset?: number } = await call('sekisho', 'GetRecording', { SessionId: id, ...(offset !== undefined && { Offset: offset }) });
    addLines(cast, part.Cast ?? '');
    flows.push(...(part.Flows ?? []));
    size += part.Cast?.length ?? 0;
    if (part.NextOffset === undefined || part.NextOffset === offset || size > longest) {
      return { recording: part.Recording, cast, flows, cut: size > longest };
    }
    offset = part.NextOffset;
  }
}

function Details({ id, from }: { id: string; from: number }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(() => wholeRecording(id), id);
  const [place, setPlace] = useState({ at: from, turn: 0 });
  const [asked, setAsked] = useState(false);
  const [reason, setReason] = useState('');
  const resource = arns(session).session(id);
  const [hold, watch] = useMay([
    { Action: 'sekisho:PutLegalHold', Resource: resource },
    { Action: 'sekisho:WatchSession', Resource: resource },
  ]);
  const whole = loaded.data;
  const r = whole?.recording;
  const lines = useMemo(() => transcript(whole?.cast.events ?? []), [whole]);
  const columns = useMemo<Column<Line>[]>(
    () => [
      {
        id: 'at',
        header: t('rec.offset'),
        text: (l) => clock(l.at).padStart(9, '0'),
        cell: (l) => (
          <Button variant="inline-link" ariaLabel={t('rec.goto', { time: clock(l.at) })} onClick={() => setPlace((p) => ({ at: l.at, turn: p.turn + 1 }))}>
            {clock(l.at)}
          </Button>
        ),
      },
      { id: 'text', header: t('rec.text'), text: (l) => l.text, cell: (l) => <span className="log-text">{l.text}</span> },
    ],
    [t],
  );
  const tunnel = r?.SessionType === 'Port';
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              {r && !r.Closed && !tunnel && (
                <Guarded answer={watch} onClick={() => go(`/live/${encodeURIComponent(id)}`)}>
                  {t('live.watch')}
                </Guarded>
              )}
              {r && (
                <Guarded answer={hold} onClick={() => setAsked(true)}>
                  {t(r.LegalHold ? 'rec.hold.release' : 'rec.hold.put')}
                </Guarded>
              )}
            </SpaceBetween>
          }
        >
          {t('rec.of', { id })}
        </Header>
      }
    >
      <SpaceBetween size="m">
        <ErrorAlert error={loaded.error} />
        {!whole && loaded.loading && <Spinner size="large" />}
        {whole && r && (
          <>
            <Container header={<Header variant="h2">{t('nodes.details')}</Header>}>
              <KeyValuePairs
                columns={4}
                items={[
                  { label: t('sessions.owner'), value: r.Owner },
                  { label: t('sessions.target'), value: <Link href={`#/fleet/${encodeURIComponent(r.Target)}`}>{r.Target}</Link> },
                  { label: t('sessions.started'), value: <DateTime seconds={r.StartedAt} /> },
                  { label: t('sessions.ended'), value: <DateTime seconds={r.EndedAt ?? 0} /> },
                  { label: t('rec.bytes'), value: <Bytes count={r.Bytes} /> },
                  { label: t('rec.verification'), value: <Verification id={id} /> },
                  { label: t('rec.hold'), value: r.LegalHold ? t('rec.hold.for', { reason: r.LegalHoldReason ?? '' }) : t('common.no') },
                  { label: t('rec.key'), value: r.KmsKeyId || t('common.none') },
                ]}
              />
            </Container>
            {whole.cut && <Alert type="warning">{t('rec.cut')}</Alert>}
            {tunnel ? (
              <Flows flows={whole.flows} />
            ) : (
              <>
                <Container header={<Header variant="h2">{t('rec.player')}</Header>}>
                  <Player cast={whole.cast} wanted={place} />
                </Container>
                <List<Line> title={t('rec.transcript')} loaded={{ ...loaded, data: lines }} columns={columns} id={(l) => String(lines.indexOf(l))} empty={t('rec.transcript.empty')} />
              </>
            )}
            <Command args={['sekisho', 'replay', id]} />
          </>
        )}
      </SpaceBetween>
      {asked && r && (
        <Confirm
          title={t(r.LegalHold ? 'rec.hold.release' : 'rec.hold.put')}
          action={t(r.LegalHold ? 'rec.hold.release' : 'rec.hold.put')}
          command={r.LegalHold ? ['sekisho', 'recordings', 'hold', '--release', id] : ['sekisho', 'recordings', 'hold', id, '--reason', reason || 'REASON']}
          close={() => setAsked(false)}
          run={async () => {
            await call('sekisho', 'PutLegalHold', { SessionId: id, Hold: !r.LegalHold, ...(reason && { Reason: reason }) });
            flash('success', t(r.LegalHold ? 'rec.hold.released' : 'rec.hold.held', { id }));
            loaded.reload();
          }}
        >
          <SpaceBetween size="s">
            <div>{t(r.LegalHold ? 'rec.hold.release.text' : 'rec.hold.put.text')}</div>
            <FormField label={t('sessions.reason')}>
              <Input value={reason} onChange={({ detail }) => setReason(detail.value)} />
            </FormField>
          </SpaceBetween>
        </Confirm>
      )}
    </ContentLayout>
  );
}

/** Whether a recording is as it was written. */
function Verification({ id }: { id: string }) {
  const { t } = useApp();
  const { data, error, loading } = useLoad(
    () => call<{ Verified: boolean; Problem?: string; File?: string; Segments: number; Closed: boolean; Unsigned?: boolean }>('sekisho', 'VerifyRecording', { SessionId: id }),
    id,
  );
  if (loading && !data) return <StatusIndicator type="loading">{t('app.loading')}</StatusIndicator>;
  if (!data) return <StatusIndicator type="warning">{error instanceof Error ? error.message : t('common.none')}</StatusIndicator>;
  if (!data.Verified) {
    return (
      <StatusIndicator type="error">
        {t('rec.damaged')}: {[data.File, data.Problem].filter(Boolean).join(': ')}
      </StatusIndicator>
    );
  }
  if (data.Unsigned) return <StatusIndicator type="in-progress">{t('rec.unsigned', { count: data.Segments })}</StatusIndicator>;
  return <StatusIndicator type="success">{t('rec.verified', { count: data.Segments })}</StatusIndicator>;
}

export function Flows({ flows }: { flows: Flow[] }) {
  const { t } = useApp();
  const columns = useMemo<Column<Flow>[]>(
    () => [
      { id: 'at', header: t('rec.offset'), text: (f) => String(f.OffsetSeconds).padStart(15, '0'), cell: (f) => clock(f.OffsetSeconds) },
      { id: 'to', header: t('rec.tonode'), text: (f) => String(f.BytesToNode ?? 0).padStart(15, '0'), cell: (f) => <Bytes count={f.BytesToNode ?? 0} /> },
      { id: 'from', header: t('rec.fromnode'), text: (f) => String(f.BytesFromNode ?? 0).padStart(15, '0'), cell: (f) => <Bytes count={f.BytesFromNode ?? 0} /> },
      { id: 'detail', header: t('sessions.details'), text: (f) => f.Detail ?? '', cell: (f) => <span className="log-text">{f.Detail || t('common.none')}</span> },
    ],
    [t],
  );
  return <List<Flow> title={t('rec.flows')} loaded={{ data: flows, error: undefined, loading: false, reload: () => {} }} columns={columns} id={(f) => String(flows.indexOf(f))} empty={t('rec.flows.empty')} />;
}

export function Bytes({ count }: { count: number }) {
  const { language } = useApp();
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(count, 1)) / 3)));
  return <>{new Intl.NumberFormat(language, { style: 'unit', unit: units[power]!, unitDisplay: power === 0 ? 'long' : 'short', maximumFractionDigits: 1 }).format(count / 1000 ** power)}</>;
}
