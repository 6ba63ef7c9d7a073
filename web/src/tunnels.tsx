import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Link from '@cloudscape-design/components/link';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import { useEffect, useMemo, useState } from 'react';
import { ServiceError, all, call } from './api';
import { arns, go, useApp, useLoad, useMay } from './context';
import { type DocumentRow, sessionTypeOf } from './documents';
import { type Column, List } from './list';
import { loadNodes } from './nodes';
import { Command, CommandLine, Confirm, DateTime, ErrorAlert, Guarded, word } from './parts';
import { Bytes, type Flow, Flows } from './recordings';
import type { SessionRow } from './sessions';

/** The pages below #/tunnels: those that run, and how to start one. */
export default function Tunnels({ second, third }: { second?: string | undefined; third?: string | undefined }) {
  if (second === 'start') return <Start target={third} />;
  return <Running />;
}

// What the server has always; of the others only their text tells.
const builtin = ['AWS-StartPortForwardingSession', 'AWS-StartPortForwardingSessionToRemoteHost', 'AWS-StartSSHSession'];
/** The most documents that are looked at, and the most tunnels whose flows are. */
const enough = 100;

const contentOf = async (Name: string) => (await call<{ Content: string }>('ssm', 'GetDocument', { Name, DocumentFormat: 'JSON' })).Content;

/** Which of some documents forward ports. One that may not be read is not among them. */
async function forwarding(names: string[]): Promise<Set<string>> {
  const others = names.filter((n) => !builtin.includes(n) && !/^(AWS|SSM)-/.test(n)).slice(0, enough);
  const read = await Promise.allSettled(others.map(contentOf));
  return new Set([...builtin, ...others.filter((_, i) => read[i]!.status === 'fulfilled' && sessionTypeOf((read[i] as PromiseFulfilledResult<string>).value) === 'Port')]);
}

interface Tunnel extends SessionRow {
  /** What it has carried, if it is recorded and may be read. */
  last?: Flow | undefined;
  /** When it was asked for, in milliseconds. */
  seen: number;
}

async function running(): Promise<Tunnel[]> {
  const sessions = await all<SessionRow>('DescribeSessions', 'Sessions', { State: 'Active', MaxResults: 200 });
  const ports = await forwarding([...new Set(sessions.map((s) => s.DocumentName ?? ''))].filter(Boolean));
  const tunnels = sessions.filter((s) => ports.has(s.DocumentName ?? ''));
  const flows = await Promise.allSettled(tunnels.slice(0, enough).map((s) => flowsOf(s.SessionId)));
  return tunnels.map((s, i) => {
    const read = flows[i];
    return { ...s, seen: Date.now(), last: read?.status === 'fulfilled' ? read.value.at(-1) : undefined };
  });
}

async function flowsOf(id: string): Promise<Flow[]> {
  const flows: Flow[] = [];
  let offset: number | undefined;
  for (;;) {
    const part: { Flows?: Flow[]; NextOffset?: number } = await call('sekisho', 'GetRecording', { SessionId: id, ...(offset !== undefined && { Offset: offset }) });
    flows.push(...(part.Flows ?? []));
    if (part.NextOffset === undefined || part.NextOffset === offset) return flows;
    offset = part.NextOffset;
  }
}

function Running() {
  const { session, t, flash } = useApp();
  const loaded = useLoad(running, 'tunnels');
  const [chosen, setChosen] = useState<Tunnel>();
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
  const [terminate] = useMay(selected ? [{ Action: 'ssm:TerminateSession', Resource: arns(session).session(selected.SessionId) }] : []);
  const unchosen = selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') };
  const columns = useMemo<Column<Tunnel>[]>(() => {
    const carried = (key: 'BytesToNode' | 'BytesFromNode') => ({
      text: (s: Tunnel) => String(s.last?.[key] ?? 0).padStart(15, '0'),
      cell: (s: Tunnel) => (s.last ? <Bytes count={s.last[key] ?? 0} /> : t('common.none')),
    });
    return [
      { id: 'id', header: t('sessions.id'), text: (s) => s.SessionId, cell: (s) => s.SessionId },
      { id: 'owner', header: t('sessions.owner'), text: (s) => s.Owner ?? '', cell: (s) => s.Owner?.replace(/^.*?:(user|assumed-role)\//, '') ?? t('common.none') },
      { id: 'target', header: t('sessions.target'), text: (s) => s.Target, cell: (s) => <Link href={`#/fleet/${encodeURIComponent(s.Target)}`}>{s.Target}</Link> },
      { id: 'document', header: t('sessions.document'), text: (s) => s.DocumentName ?? '', cell: (s) => s.DocumentName ?? t('common.none') },
      { id: 'start', header: t('sessions.started'), text: (s) => new Date((s.StartDate ?? 0) * 1000).toISOString(), cell: (s) => <DateTime seconds={s.StartDate} /> },
      { id: 'to', header: t('rec.tonode'), ...carried('BytesToNode') },
      { id: 'from', header: t('rec.fromnode'), ...carried('BytesFromNode') },
    ];
  }, [t]);
  return (
    <ContentLayout header={<Header variant="h1">{t('nav.tunnels')}</Header>}>
      <SpaceBetween size="m">
        <List<Tunnel>
          title={t('tunnels.running')}
          loaded={loaded}
          columns={columns}
          id={(s) => s.SessionId}
          empty={t('tunnels.empty')}
          selected={selected}
          select={setChosen}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Guarded answer={terminate} {...unchosen} onClick={() => setAsked(true)}>
                {t('sessions.terminate')}
              </Guarded>
              <Button variant="primary" onClick={() => go('/tunnels/start')}>
                {t('tunnels.start')}
              </Button>
            </SpaceBetween>
          }
        />
        {selected && <Carried key={selected.SessionId} id={selected.SessionId} seen={selected.seen} />}
        <Command args={['ssm', 'describe-sessions', '--state', 'Active']} />
      </SpaceBetween>
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
    </ContentLayout>
  );
}

function Carried({ id, seen }: { id: string; seen: number }) {
  const { t } = useApp();
  const loaded = useLoad(() => flowsOf(id), `${id} ${seen}`);
  if (loaded.error instanceof ServiceError && loaded.error.code === 'RecordingNotFoundException') return <Alert type="info">{t('tunnels.unrecorded')}</Alert>;
  if (loaded.error) return <ErrorAlert error={loaded.error} />;
  return loaded.data ? <Flows flows={loaded.data} /> : <Spinner />;
}

interface Parameter {
  name: string;
  description?: string;
  default?: string;
  allowedPattern?: string;
  allowedValues?: string[];
}

/** The parameters of a session document. */
function parametersOf(content: string): Parameter[] {
  try {
    const { parameters } = JSON.parse(content) as { parameters?: Record<string, Omit<Parameter, 'name'>> };
    return Object.entries(parameters ?? {}).map(([name, p]) => ({ ...p, name }));
  } catch {
    return [];
  }
}

/** Whether a parameter is missing, or is what the document does not take. The server has the last word. */
function wrong(p: Parameter, value: string): 'missing' | 'pattern' | null {
  if (value === '') return p.default === undefined ? 'missing' : null;
  if (p.allowedValues && !p.allowedValues.includes(value)) return 'pattern';
  try {
    return p.allowedPattern && !new RegExp(p.allowedPattern).test(value) ? 'pattern' : null;
  } catch {
    return null; // a pattern of another dialect
  }
}

function Start({ target }: { target?: string | undefined }) {
  const { session, t } = useApp();
  const nodes = useLoad(loadNodes, 'nodes');
  const documents = useLoad(async () => {
    const rows = await all<DocumentRow>('ListDocuments', 'DocumentIdentifiers', { Filters: [{ Key: 'DocumentType', Values: ['Session'] }], MaxResults: 50 });
    const ports = await forwarding(rows.map((d) => d.Name));
    return rows.filter((d) => ports.has(d.Name));
  }, 'documents');
  const [node, setNode] = useState(target ?? '');
  const [name, setName] = useState(builtin[0]!);
  const [values, setValues] = useState<Record<string, string>>({});
  const content = useLoad(async () => (name ? contentOf(name) : ''), name);
  const parameters = useMemo(() => parametersOf(content.data ?? ''), [content.data]);
  const named = arns(session);
  const mays = useMay(
    node && name
      ? [
          { Action: 'ssm:StartSession', Resource: named.node(node) },
          { Action: 'ssm:StartSession', Resource: named.document(name) },
        ]
      : [],
  );
  const refused = mays.find((m) => !m.Allowed);
  const row = nodes.data?.find((n) => n.InstanceId === node);
  const filled = Object.fromEntries(parameters.filter((p) => values[p.name]).map((p) => [p.name, [values[p.name]!]]));
  const complete = node !== '' && content.data !== undefined && parameters.every((p) => !wrong(p, values[p.name] ?? ''));
  const label = (p: string) => (p === 'portNumber' ? t('tunnels.port') : p === 'localPortNumber' ? t('tunnels.localport') : p === 'host' ? t('tunnels.host') : p);
  return (
    <ContentLayout header={<Header variant="h1" description={t('tunnels.why')}>{t('tunnels.start')}</Header>}>
      <SpaceBetween size="l">
        <Container>
          <SpaceBetween size="m">
            {nodes.error ? (
              <FormField label={t('sessions.target')} description={t('rec.node.hint')}>
                <Input value={node} onChange={({ detail }) => setNode(detail.value)} name="node" />
              </FormField>
            ) : (
              <FormField label={t('sessions.target')} warningText={row && row.PingStatus !== 'Online' ? t('start.notonline') : undefined}>
                <Select
                  selectedOption={node ? { value: node, label: row?.Name ? `${row.Name} (${node})` : node } : null}
                  statusType={nodes.loading ? 'loading' : 'finished'}
                  filteringType="auto"
                  filteringAriaLabel={t('common.filter')}
                  empty={t('nodes.empty')}
                  options={(nodes.data ?? []).map((n) => ({ value: n.InstanceId, label: n.Name ? `${n.Name} (${n.InstanceId})` : n.InstanceId }))}
                  onChange={({ detail }) => setNode(detail.selectedOption.value ?? '')}
                />
              </FormField>
            )}
            <ErrorAlert error={nodes.error} />
            {documents.error ? (
              <FormField label={t('start.document')} description={t('start.document.unlisted')}>
                <Input value={name} onChange={({ detail }) => setName(detail.value)} name="document" />
              </FormField>
            ) : (
              <FormField label={t('start.document')}>
                <Select
                  selectedOption={{ value: name, label: name }}
                  statusType={documents.loading ? 'loading' : 'finished'}
                  options={(documents.data ?? []).map((d) => ({ value: d.Name, label: d.Name, description: d.Owner }))}
                  onChange={({ detail }) => {
                    setName(detail.selectedOption.value ?? builtin[0]!);
                    setValues({});
                  }}
                />
              </FormField>
            )}
            <ErrorAlert error={documents.error} />
            <ErrorAlert error={content.error} />
            {parameters.map((p) => {
              const value = values[p.name] ?? '';
              return (
                <FormField
                  key={p.name}
                  label={p.default === undefined ? label(p.name) : `${label(p.name)} - ${t('common.optional')}`}
                  description={p.description}
                  errorText={wrong(p, value) === 'pattern' ? t('tunnels.pattern') : undefined}
                >
                  <Input value={value} placeholder={p.default ?? ''} spellcheck={false} onChange={({ detail }) => setValues((v) => ({ ...v, [p.name]: detail.value.trim() }))} />
                </FormField>
              );
            })}
          </SpaceBetween>
        </Container>
        {refused && <ErrorAlert error={new ServiceError('AccessDeniedException', refused.Message ?? '', 'ssm:StartSession')} />}
        <Container header={<Header variant="h2" description={t('tunnels.commands.hint')}>{t('tunnels.commands')}</Header>}>
          {complete ? (
            <SpaceBetween size="m">
              {commands(node, name, parameters, filled).map(({ title, line }) => (
                <div key={title} data-testid={title}>
                  <Box variant="awsui-key-label">{t(`tunnels.by.${title}`)}</Box>
                  <CommandLine line={line} />
                </div>
              ))}
            </SpaceBetween>
          ) : (
            t('tunnels.incomplete')
          )}
        </Container>
        <Box float="right">
          <Button onClick={() => go('/tunnels')}>{t('tunnels.running')}</Button>
        </Box>
      </SpaceBetween>
    </ContentLayout>
  );
}

/** What to paste: with the aws CLI always, with our own program or ssh where they can say it. */
function commands(node: string, name: string, parameters: Parameter[], filled: Record<string, string[]>): { title: 'aws' | 'ours' | 'ssh'; line: string }[] {
  const start = ['aws', 'ssm', 'start-session', '--target', node, '--document-name', name];
  const list: ReturnType<typeof commands> = [
    { title: 'aws', line: [...start, ...(Object.keys(filled).length > 0 ? ['--parameters', JSON.stringify(filled)] : [])].map(word).join(' ') },
  ];
  const has = (p: string) => parameters.some((x) => x.name === p);
  const others = Object.keys(filled).some((p) => !['portNumber', 'localPortNumber', 'host'].includes(p));
  const port = filled.portNumber?.[0] ?? parameters.find((p) => p.name === 'portNumber')?.default;
  if (has('portNumber') && has('localPortNumber') && port && !others) {
    const host = filled.host?.[0];
    const local = filled.localPortNumber?.[0];
    const document = builtin.includes(name) && has('host') === Boolean(host) ? [] : ['--document', name];
    list.push({ title: 'ours', line: ['sekisho', 'forward', ...document, node, [local, host, port].filter(Boolean).join(':')].map(word).join(' ') });
  }
  if (has('portNumber') && !has('localPortNumber') && !has('host')) {
    const proxy = `aws ssm start-session --target %h --document-name ${word(name)} --parameters portNumber=%p`;
    list.push({ title: 'ssh', line: ['ssh', '-o', `ProxyCommand=${proxy}`, ...(port && port !== '22' ? ['-p', port] : []), node].map(word).join(' ') });
    if (name === 'AWS-StartSSHSession') list.push({ title: 'ours', line: ['sekisho', 'ssh', node, ...(port && port !== '22' ? ['-p', port] : [])].map(word).join(' ') });
  }
  return list;
}
