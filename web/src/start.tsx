import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { all, call } from './api';
import { arns, go, useApp, useLoad, useMay } from './context';
import { dock } from './docked';
import { type DocumentRow, type DocumentDescription, Denied, sessionTypeOf } from './documents';
import { List } from './list';
import { type NodeRow, loadNodes, useNodeColumns } from './nodes';
import { Command, ErrorAlert, Guarded } from './parts';
import { openTerminal } from './sessions';

const template = 'SSM-SessionManagerRunShell';

export function StartSession({ target }: { target?: string | undefined }) {
  const { session, t } = useApp();
  const nodes = useLoad(loadNodes, 'nodes');
  const documents = useLoad(() => all<DocumentRow>('ListDocuments', 'DocumentIdentifiers', { Filters: [{ Key: 'DocumentType', Values: ['Session'] }], MaxResults: 50 }), 'documents');
  const [chosen, setChosen] = useState<string | undefined>(target);
  const [reason, setReason] = useState('');
  const [name, setName] = useState(template);
  const [values, setValues] = useState<Record<string, string>>({});
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const columns = useNodeColumns();
  const description = useLoad(async () => {
    if (name === template || name.length < 3) return null;
    const [described, content] = await Promise.all([
      call<{ Document: DocumentDescription }>('ssm', 'DescribeDocument', { Name: name }),
      call<{ Content: string }>('ssm', 'GetDocument', { Name: name, DocumentFormat: 'JSON' }),
    ]);
    return { ...described.Document, sessionType: sessionTypeOf(content.Content) };
  }, name);
  const node = nodes.data?.find((n) => n.InstanceId === chosen);
  const named = arns(session);
  const mays = useMay(
    node
      ? [
          { Action: 'ssm:StartSession', Resource: named.node(node.InstanceId) },
          { Action: 'ssm:StartSession', Resource: named.document(name) },
        ]
      : [],
  );
  const refused = mays.find((m) => !m.Allowed);
  const parameters = description.data?.Parameters ?? [];
  const filled = Object.fromEntries(parameters.filter((p) => values[p.Name]).map((p) => [p.Name, [values[p.Name]!]]));
  const input = {
    Target: node?.InstanceId ?? '',
    ...(name !== template && { DocumentName: name }),
    ...(reason && { Reason: reason }),
    ...(Object.keys(filled).length > 0 && { Parameters: filled }),
  };
  const port = description.data?.sessionType === 'Port';
  let impossible = '';
  if (!node) impossible = t('common.nonechosen');
  else if (node.PingStatus !== 'Online') impossible = t('start.notonline');
  else if (port) impossible = t('start.notshell', { type: 'Port' });
  const start = async (below: boolean) => {
    setBusy(true);
    setError(undefined);
    try {
      const started = await call<{ SessionId: string; TokenValue: string }>('ssm', 'StartSession', input);
      const opened = { ...started, Target: node?.InstanceId ?? '' };
      // A browser that lets no tab be opened has the dock.
      if (below || !openTerminal(opened)) dock(opened);
      go('/sessions');
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <ContentLayout header={<Header variant="h1">{t('start.title')}</Header>}>
      <SpaceBetween size="l">
        <Container>
          <SpaceBetween size="m">
            <FormField label={`${t('start.reason')} - ${t('common.optional')}`} description={t('start.reason.hint')}>
              <Input value={reason} onChange={({ detail }) => setReason(detail.value.slice(0, 256))} name="reason" />
            </FormField>
            {documents.error ? (
              <FormField label={t('start.document')} description={<Denied error={documents.error} otherwise={t('start.document.unlisted')} />}>
                <Input value={name} onChange={({ detail }) => setName(detail.value)} name="document" />
              </FormField>
            ) : (
              <FormField label={t('start.document')}>
                <Select
                  selectedOption={{ value: name, label: name === template ? t('start.document.default') : name }}
                  statusType={documents.loading ? 'loading' : 'finished'}
                  filteringType="auto"
                  filteringAriaLabel={t('common.filter')}
                  options={[
                    { value: template, label: t('start.document.default') },
                    ...(documents.data ?? []).filter((d) => d.Name !== template).map((d) => ({ value: d.Name, label: d.Name, description: d.Owner })),
                  ]}
                  onChange={({ detail }) => {
                    setName(detail.selectedOption.value ?? template);
                    setValues({});
                  }}
                />
              </FormField>
            )}
            <ErrorAlert error={description.error} />
            {!port &&
              parameters.map((p) => (
                <FormField key={p.Name} label={p.Name} description={p.Description}>
                  <Input value={values[p.Name] ?? ''} placeholder={p.DefaultValue ?? ''} onChange={({ detail }) => setValues((v) => ({ ...v, [p.Name]: detail.value }))} />
                </FormField>
              ))}
          </SpaceBetween>
        </Container>
        <List<NodeRow> title={t('start.targets')} loaded={nodes} columns={columns} id={(n) => n.InstanceId} empty={t('nodes.empty')} selected={node} select={(n) => setChosen(n.InstanceId)} />
        <ErrorAlert error={error} />
        <Command
          args={[
            'ssm', 'start-session', '--target', node?.InstanceId ?? 'TARGET',
            ...(name !== template ? ['--document-name', name] : []),
            ...(reason ? ['--reason', reason] : []),
            ...(Object.keys(filled).length > 0 ? ['--parameters', JSON.stringify(filled)] : []),
          ]}
        />
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={() => go('/sessions')}>
              {t('common.cancel')}
            </Button>
            <Guarded answer={impossible ? undefined : refused} disabled={busy || impossible !== ''} disabledReason={impossible || undefined} onClick={() => start(true)}>
              {t('dock.start')}
            </Guarded>
            <Guarded answer={impossible ? undefined : refused} variant="primary" loading={busy} disabled={impossible !== ''} disabledReason={impossible || undefined} onClick={() => start(false)}>
              {t('sessions.start')}
            </Guarded>
          </SpaceBetween>
        </Box>
      </SpaceBetween>
    </ContentLayout>
  );
}
