import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Link from '@cloudscape-design/components/link';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import Textarea from '@cloudscape-design/components/textarea';
import { Suspense, lazy, useEffect, useMemo, useState } from 'react';
import { all, call, denied } from './api';
import { type App, arns, go, useApp, useLoad, useMay } from './context';
import { type Column, List } from './list';
import { Command, Confirm, DateTime, ErrorAlert, Guarded } from './parts';

const Permissions = lazy(() => import('./permissions'));

export interface DocumentRow {
  Name: string;
  Owner: string;
  DocumentVersion: string;
  DocumentFormat: string;
  CreatedDate?: number;
  PlatformTypes?: string[];
}

export interface DocumentDescription extends DocumentRow {
  Hash: string;
  Status: string;
  Description?: string;
  LatestVersion: string;
  DefaultVersion: string;
  Parameters?: { Name: string; Type: string; Description?: string; DefaultValue?: string }[];
}

interface VersionRow {
  DocumentVersion: string;
  CreatedDate?: number;
  IsDefaultVersion: boolean;
  DocumentFormat: string;
  Status: string;
}

/** What kind of session a document makes; its content is JSON. */
export function sessionTypeOf(content: string): string {
  try {
    return String((JSON.parse(content) as { sessionType?: unknown }).sessionType ?? '');
  } catch {
    return '';
  }
}

/** A short word on a list that is missing: what permission it takes, or what to do instead. */
export function Denied({ error, otherwise }: { error: unknown; otherwise: string }) {
  const { t } = useApp();
  const missing = denied(error);
  return (
    <>
      {otherwise}
      {missing && ` ${t('error.action')}: ${missing.action} (${missing.resource})`}
    </>
  );
}

export function Documents() {
  const { session, t } = useApp();
  const loaded = useLoad(() => all<DocumentRow>('ListDocuments', 'DocumentIdentifiers', { Filters: [{ Key: 'DocumentType', Values: ['Session'] }], MaxResults: 50 }), 'documents');
  const [create] = useMay([{ Action: 'ssm:CreateDocument', Resource: arns(session).document('*') }]);
  const columns = useMemo<Column<DocumentRow>[]>(
    () => [
      { id: 'name', header: t('common.name'), text: (d) => d.Name, cell: (d) => <Link href={`#/documents/${encodeURIComponent(d.Name)}`}>{d.Name}</Link> },
      { id: 'owner', header: t('docs.owner'), text: (d) => d.Owner, cell: (d) => d.Owner },
      { id: 'version', header: t('docs.version'), text: (d) => d.DocumentVersion, cell: (d) => d.DocumentVersion },
      { id: 'format', header: t('docs.format'), text: (d) => d.DocumentFormat, cell: (d) => d.DocumentFormat },
      { id: 'platforms', header: t('docs.platforms'), text: (d) => (d.PlatformTypes ?? []).join(', '), cell: (d) => (d.PlatformTypes ?? []).join(', ') || t('common.none') },
      { id: 'created', header: t('docs.created'), text: (d) => String(d.CreatedDate), cell: (d) => <DateTime seconds={d.CreatedDate} /> },
    ],
    [t],
  );
  return (
    <ContentLayout header={<Header variant="h1">{t('nav.documents')}</Header>}>
      <SpaceBetween size="m">
        <List<DocumentRow>
          title={t('docs.title')}
          loaded={loaded}
          columns={columns}
          id={(d) => d.Name}
          empty={t('docs.empty')}
          actions={
            <Guarded answer={create} variant="primary" onClick={() => go('/documents/create')}>
              {t('docs.create')}
            </Guarded>
          }
        />
        <Command args={['ssm', 'list-documents', '--filters', 'Key=DocumentType,Values=Session']} />
      </SpaceBetween>
    </ContentLayout>
  );
}

export function DocumentDetails({ name }: { name: string }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(async () => (await call<{ Document: DocumentDescription }>('ssm', 'DescribeDocument', { Name: name })).Document, `document ${name}`);
  const versions = useLoad(() => all<VersionRow>('ListDocumentVersions', 'DocumentVersions', { Name: name, MaxResults: 50 }), `versions ${name}`);
  const [shown, setShown] = useState<string>();
  const content = useLoad(() => call<{ Content: string; DocumentVersion: string }>('ssm', 'GetDocument', { Name: name, ...(shown && { DocumentVersion: shown }) }), `content ${name} ${shown}`);
  const [chosen, setChosen] = useState<VersionRow>();
  const [asked, setAsked] = useState(false);
  const [error, setError] = useState<unknown>();
  const resource = arns(session).document(name);
  const [update, setDefault, remove] = useMay(['ssm:UpdateDocument', 'ssm:UpdateDocumentDefaultVersion', 'ssm:DeleteDocument'].map((Action) => ({ Action, Resource: resource })));
  const columns = useMemo<Column<VersionRow>[]>(
    () => [
      { id: 'version', header: t('docs.versions.number'), text: (v) => v.DocumentVersion, cell: (v) => v.DocumentVersion },
      { id: 'default', header: t('docs.versions.default'), text: (v) => String(v.IsDefaultVersion), cell: (v) => (v.IsDefaultVersion ? t('common.yes') : t('common.no')) },
      { id: 'format', header: t('docs.format'), text: (v) => v.DocumentFormat, cell: (v) => v.DocumentFormat },
      { id: 'created', header: t('docs.created'), text: (v) => String(v.CreatedDate), cell: (v) => <DateTime seconds={v.CreatedDate} /> },
    ],
    [t],
  );
  const heading = (actions?: React.ReactNode) => (
    <Header variant="h1" actions={actions}>
      {name}
    </Header>
  );
  if (loaded.error) return <ContentLayout header={heading()}><ErrorAlert error={loaded.error} /></ContentLayout>;
  if (!loaded.data) return <ContentLayout header={heading()}><Spinner /></ContentLayout>;
  const d = loaded.data;
  const own = d.Owner !== 'Amazon';
  const selected = versions.data?.find((v) => v.DocumentVersion === chosen?.DocumentVersion);
  const unchosen = selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') };
  const makeDefault = async () => {
    if (!selected) return;
    setError(undefined);
    try {
      await call('ssm', 'UpdateDocumentDefaultVersion', { Name: name, DocumentVersion: selected.DocumentVersion });
      flash('success', t('docs.setdefault.done', { version: selected.DocumentVersion }));
      loaded.reload();
      versions.reload();
    } catch (e) {
      setError(e);
    }
  };
  return (
    <ContentLayout
      header={heading(
        own && (
          <SpaceBetween direction="horizontal" size="xs">
            <Guarded answer={remove} onClick={() => setAsked(true)}>
              {t('common.delete')}
            </Guarded>
            <Guarded answer={update} variant="primary" onClick={() => go(`/documents/${encodeURIComponent(name)}/edit`)}>
              {t('docs.edit')}
            </Guarded>
          </SpaceBetween>
        ),
      )}
    >
      <SpaceBetween size="l">
        <Container>
          <KeyValuePairs
            columns={3}
            items={[
              { label: t('docs.owner'), value: d.Owner },
              { label: t('docs.status'), value: d.Status },
              { label: t('common.description'), value: d.Description || t('common.none') },
              { label: t('docs.version'), value: d.DefaultVersion },
              { label: t('docs.latest'), value: d.LatestVersion },
              { label: t('docs.created'), value: <DateTime seconds={d.CreatedDate} /> },
              { label: t('docs.hash'), value: <span className="said">{d.Hash}</span> },
            ]}
          />
        </Container>
        <Container header={<Header variant="h2">{content.data ? t('docs.content.of', { version: content.data.DocumentVersion }) : t('docs.content')}</Header>}>
          {content.error ? <ErrorAlert error={content.error} /> : <pre className="content" tabIndex={0} aria-label={t('docs.content')}>{content.data?.Content ?? ''}</pre>}
        </Container>
        <ErrorAlert error={error} />
        <List<VersionRow>
          title={t('docs.versions')}
          loaded={versions}
          columns={columns}
          id={(v) => v.DocumentVersion}
          empty={t('docs.empty')}
          selected={selected}
          select={setChosen}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button {...unchosen} onClick={() => selected && setShown(selected.DocumentVersion)}>
                {t('docs.versions.view')}
              </Button>
              {own && (
                <Guarded answer={setDefault} {...unchosen} onClick={makeDefault}>
                  {t('docs.setdefault')}
                </Guarded>
              )}
            </SpaceBetween>
          }
        />
        {own && (
          <Suspense fallback={<Spinner />}>
            <Permissions name={name} />
          </Suspense>
        )}
        <Command args={['ssm', 'describe-document', '--name', name]} />
        {asked && (
          <Confirm
            title={t('docs.delete.title')}
            action={t('common.delete')}
            command={['ssm', 'delete-document', '--name', name]}
            close={() => setAsked(false)}
            run={async () => {
              await call('ssm', 'DeleteDocument', { Name: name });
              flash('success', t('docs.deleted', { name }));
              go('/documents');
            }}
          >
            {t('docs.delete.text', { name })}
          </Confirm>
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}

const sample = `{
  "schemaVersion": "1.0",
  "description": "",
  "sessionType": "Standard_Stream",
  "inputs": {
    "s3BucketName": "",
    "s3KeyPrefix": "",
    "s3EncryptionEnabled": false,
    "cloudWatchLogGroupName": "",
    "cloudWatchEncryptionEnabled": false,
    "cloudWatchStreamingEnabled": false,
    "kmsKeyId": "",
    "runAsEnabled": false,
    "runAsDefaultUser": "",
    "idleSessionTimeout": "",
    "maxSessionDuration": "",
    "shellProfile": {
      "linux": "date",
      "windows": "date"
    }
  }
}
`;

/** What is plainly wrong with a JSON document, as it is typed. The server has the last word. */
export function problemOf(content: string, t: App['t']): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch (e) {
    return t('docs.bad.json', { error: (e as Error).message });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return t('docs.bad.object');
  const d = parsed as { schemaVersion?: unknown; sessionType?: unknown; inputs?: Record<string, unknown> };
  if (d.schemaVersion !== '1.0') return t('docs.bad.version');
  if (!['Standard_Stream', 'InteractiveCommands', 'NonInteractiveCommands', 'Port'].includes(String(d.sessionType))) return t('docs.bad.type');
  const outside = (name: string, most: number) => {
    const v = d.inputs?.[name];
    return v !== undefined && v !== '' && !(/^\d+$/.test(String(v)) && Number(v) >= 1 && Number(v) <= most) && !String(v).includes('{{');
  };
  if (outside('idleSessionTimeout', 60)) return t('docs.bad.idle');
  if (outside('maxSessionDuration', 1440)) return t('docs.bad.max');
  return '';
}

export function DocumentEditor({ name: existing }: { name?: string }) {
  const { session, t, flash } = useApp();
  const [name, setName] = useState(existing ?? '');
  const [format, setFormat] = useState('JSON');
  const [content, setContent] = useState(existing ? '' : sample);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const latest = useLoad(
    async () => (existing ? call<{ Content: string; DocumentFormat: string }>('ssm', 'GetDocument', { Name: existing, DocumentVersion: '$LATEST' }) : null),
    `edit ${existing}`,
  );
  useEffect(() => {
    if (latest.data) {
      setContent(latest.data.Content);
      setFormat(latest.data.DocumentFormat);
    }
  }, [latest.data]);
  const [may] = useMay([{ Action: existing ? 'ssm:UpdateDocument' : 'ssm:CreateDocument', Resource: arns(session).document(name || '*') }]);
  const problem = format === 'JSON' ? problemOf(content, t) : '';
  const save = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const common = { Name: name, Content: content, DocumentFormat: format };
      const made = existing
        ? await call<{ DocumentDescription: DocumentDescription }>('ssm', 'UpdateDocument', { ...common, DocumentVersion: '$LATEST' })
        : await call<{ DocumentDescription: DocumentDescription }>('ssm', 'CreateDocument', { ...common, DocumentType: 'Session' });
      flash('success', t('docs.saved', { name, version: made.DocumentDescription.DocumentVersion }));
      go(`/documents/${encodeURIComponent(name)}`);
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <ContentLayout header={<Header variant="h1">{existing ? `${t('docs.edit')}: ${existing}` : t('docs.create')}</Header>}>
      <SpaceBetween size="l">
        <ErrorAlert error={latest.error} />
        <Container>
          <SpaceBetween size="m">
            {!existing && (
              <FormField label={t('common.name')} description={t('docs.name.hint')}>
                <Input value={name} onChange={({ detail }) => setName(detail.value)} spellcheck={false} name="name" />
              </FormField>
            )}
            <FormField label={t('docs.format')}>
              <Select
                selectedOption={{ value: format, label: format }}
                options={[
                  { value: 'JSON', label: 'JSON' },
                  { value: 'YAML', label: 'YAML' },
                ]}
                onChange={({ detail }) => setFormat(detail.selectedOption.value ?? 'JSON')}
              />
            </FormField>
            <FormField label={t('docs.content')} stretch errorText={problem} constraintText={problem ? undefined : format === 'JSON' ? t('docs.checked') : undefined}>
              <div className="code-input">
                <Textarea value={content} onChange={({ detail }) => setContent(detail.value)} spellcheck={false} rows={24} />
              </div>
            </FormField>
          </SpaceBetween>
        </Container>
        <ErrorAlert error={error} />
        <Command
          args={[
            'ssm', existing ? 'update-document' : 'create-document', '--name', name || 'NAME', '--content', 'file://document', '--document-format', format,
            ...(existing ? ['--document-version', '$LATEST'] : ['--document-type', 'Session']),
          ]}
        />
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={() => go(existing ? `/documents/${encodeURIComponent(existing)}` : '/documents')}>
              {t('common.cancel')}
            </Button>
            <Guarded answer={problem ? undefined : may} variant="primary" loading={busy} disabled={problem !== ''} disabledReason={problem || undefined} onClick={save}>
              {existing ? t('common.save') : t('docs.create')}
            </Guarded>
          </SpaceBetween>
        </Box>
      </SpaceBetween>
    </ContentLayout>
  );
}
