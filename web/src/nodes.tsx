import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Input from '@cloudscape-design/components/input';
import Link from '@cloudscape-design/components/link';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useEffect, useMemo, useState } from 'react';
import { all, call } from './api';
import { arns, go, useApp, useLoad, useMay } from './context';
import { type Column, List } from './list';
import { Command, Confirm, DateTime, ErrorAlert, Guarded } from './parts';

export interface NodeRow {
  InstanceId: string;
  Name?: string;
  PingStatus: 'Online' | 'ConnectionLost' | 'Inactive';
  LastPingDateTime?: number;
  AgentVersion?: string;
  PlatformType?: string;
  PlatformName?: string;
  PlatformVersion?: string;
  ActivationId?: string;
  IamRole?: string;
  RegistrationDate?: number;
  IPAddress?: string;
  ComputerName?: string;
}

const tierSetting = '/ssm/managed-instance/activation-tier';

/** DescribeInstanceProperties is what the guide's policy allows, and has the larger pages. */
export const loadNodes = () => all<NodeRow>('DescribeInstanceProperties', 'InstanceProperties', { MaxResults: 1000 });

export function Ping({ node }: { node: NodeRow }) {
  const { t } = useApp();
  const type = node.PingStatus === 'Online' ? 'success' : node.PingStatus === 'ConnectionLost' ? 'error' : 'stopped';
  return <StatusIndicator type={type}>{t(`nodes.ping.${node.PingStatus}`)}</StatusIndicator>;
}

const platform = (n: NodeRow) => [n.PlatformName, n.PlatformVersion].filter(Boolean).join(' ');

export function useNodeColumns(tier?: string): Column<NodeRow>[] {
  const { t } = useApp();
  return useMemo(() => {
    const none = t('common.none');
    const list: Column<NodeRow>[] = [
      { id: 'id', header: t('nodes.id'), text: (n) => n.InstanceId, cell: (n) => <Link href={`#/fleet/${encodeURIComponent(n.InstanceId)}`}>{n.InstanceId}</Link> },
      { id: 'name', header: t('nodes.name'), text: (n) => n.Name ?? '', cell: (n) => n.Name || none },
      { id: 'ping', header: t('nodes.ping'), text: (n) => `${t(`nodes.ping.${n.PingStatus}`)} ${n.PingStatus}`, cell: (n) => <Ping node={n} /> },
      { id: 'platform', header: t('nodes.platform'), text: (n) => `${platform(n)} ${n.PlatformType ?? ''}`, cell: (n) => platform(n) || none },
      { id: 'agent', header: t('nodes.agent'), text: (n) => n.AgentVersion ?? '', cell: (n) => n.AgentVersion || none },
      { id: 'address', header: t('nodes.address'), text: (n) => n.IPAddress ?? '', cell: (n) => n.IPAddress || none },
      { id: 'computer', header: t('nodes.computer'), text: (n) => n.ComputerName ?? '', cell: (n) => n.ComputerName || none },
    ];
    if (tier === 'standard' || tier === 'advanced') {
      list.push({ id: 'tier', header: t('nodes.tier'), text: () => t(`tier.${tier}`), cell: () => t(`tier.${tier}`) });
    }
    return list;
  }, [t, tier]);
}

function useTier() {
  return useLoad(async () => (await call<{ ServiceSetting: { SettingValue: string } }>('ssm', 'GetServiceSetting', { SettingId: tierSetting })).ServiceSetting.SettingValue, 'tier');
}

export function Nodes() {
  const { session, t, flash } = useApp();
  const loaded = useLoad(loadNodes, 'nodes');
  const tier = useTier();
  const columns = useNodeColumns(tier.data);
  const [chosen, setChosen] = useState<NodeRow>();
  const [asked, setAsked] = useState(false);
  const selected = loaded.data?.find((n) => n.InstanceId === chosen?.InstanceId);
  const resource = arns(session).node(selected?.InstanceId ?? '');
  const [start, deregister] = useMay(selected ? [{ Action: 'ssm:StartSession', Resource: resource }, { Action: 'ssm:DeregisterManagedInstance', Resource: resource }] : []);
  const unchosen = selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') };
  return (
    <ContentLayout
      header={
        <Header variant="h1" actions={<Button iconName="settings" onClick={() => go('/fleet/settings')}>{t('nodes.settings')}</Button>}>
          {t('nav.fleet-manager')}
        </Header>
      }
    >
      <SpaceBetween size="m">
        <List<NodeRow>
          title={t('nodes.title')}
          loaded={loaded}
          columns={columns}
          id={(n) => n.InstanceId}
          empty={t('nodes.empty')}
          selected={selected}
          select={setChosen}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Guarded answer={deregister} {...unchosen} onClick={() => setAsked(true)}>
                {t('nodes.deregister')}
              </Guarded>
              <Guarded answer={start} {...unchosen} variant="primary" onClick={() => selected && go(`/sessions/start/${encodeURIComponent(selected.InstanceId)}`)}>
                {t('sessions.start')}
              </Guarded>
            </SpaceBetween>
          }
        />
        <Command args={['ssm', 'describe-instance-information']} />
        {asked && selected && (
          <Deregister
            id={selected.InstanceId}
            close={() => setAsked(false)}
            done={() => {
              flash('success', t('nodes.deregistered', { id: selected.InstanceId }));
              loaded.reload();
            }}
          />
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}

function Deregister({ id, close, done }: { id: string; close: () => void; done: () => void }) {
  const { t } = useApp();
  return (
    <Confirm
      title={t('nodes.deregister.title')}
      action={t('nodes.deregister')}
      command={['ssm', 'deregister-managed-instance', '--instance-id', id]}
      close={close}
      run={async () => {
        await call('ssm', 'DeregisterManagedInstance', { InstanceId: id });
        done();
      }}
    >
      {t('nodes.deregister.text', { id })}
    </Confirm>
  );
}

export function NodeDetails({ id }: { id: string }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(async () => (await loadNodes()).find((n) => n.InstanceId === id) ?? null, id);
  const [asked, setAsked] = useState(false);
  const resource = arns(session).node(id);
  const [start, deregister] = useMay([
    { Action: 'ssm:StartSession', Resource: resource },
    { Action: 'ssm:DeregisterManagedInstance', Resource: resource },
  ]);
  const node = loaded.data;
  if (loaded.error || !node) {
    return (
      <ContentLayout header={<Header variant="h1">{id}</Header>}>
        {loaded.error ? <ErrorAlert error={loaded.error} /> : loaded.loading ? <Spinner /> : <Alert type="warning">{t('nodes.notfound', { id })}</Alert>}
      </ContentLayout>
    );
  }
  const none = t('common.none');
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Guarded answer={deregister} onClick={() => setAsked(true)}>
                {t('nodes.deregister')}
              </Guarded>
              <Button onClick={() => go(`/tunnels/start/${encodeURIComponent(id)}`)}>{t('tunnels.start')}</Button>
              <Guarded answer={start} variant="primary" onClick={() => go(`/sessions/start/${encodeURIComponent(id)}`)}>
                {t('sessions.start')}
              </Guarded>
            </SpaceBetween>
          }
        >
          {node.Name || id}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Container header={<Header variant="h2">{t('nodes.details')}</Header>}>
          <KeyValuePairs
            columns={3}
            items={[
              { label: t('nodes.id'), value: id },
              { label: t('nodes.name'), value: node.Name || none },
              { label: t('nodes.ping'), value: <Ping node={node} /> },
              { label: t('nodes.lastping'), value: <DateTime seconds={node.LastPingDateTime} /> },
              { label: t('nodes.platform'), value: platform(node) || none },
              { label: t('nodes.platformtype'), value: node.PlatformType || none },
              { label: t('nodes.agent'), value: node.AgentVersion || none },
              { label: t('nodes.computer'), value: node.ComputerName || none },
              { label: t('nodes.address'), value: node.IPAddress || none },
              { label: t('nodes.role'), value: node.IamRole || none },
              { label: t('nodes.activation'), value: node.ActivationId || none },
              { label: t('nodes.registered'), value: <DateTime seconds={node.RegistrationDate} /> },
            ]}
          />
        </Container>
        <Tags id={id} />
        {asked && (
          <Deregister
            id={id}
            close={() => setAsked(false)}
            done={() => {
              flash('success', t('nodes.deregistered', { id }));
              go('/fleet');
            }}
          />
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}

interface Tag {
  Key: string;
  Value: string;
}

function Tags({ id }: { id: string }) {
  const { session, t, flash } = useApp();
  const what = { ResourceType: 'ManagedInstance', ResourceId: id };
  const loaded = useLoad(async () => (await call<{ TagList: Tag[] }>('ssm', 'ListTagsForResource', what)).TagList, `tags ${id}`);
  const [editing, setEditing] = useState(false);
  const [tags, setTags] = useState<Tag[]>([]);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    if (loaded.data) setTags(loaded.data);
  }, [loaded.data]);
  const resource = arns(session).node(id);
  const mays = useMay([
    { Action: 'ssm:AddTagsToResource', Resource: resource },
    { Action: 'ssm:RemoveTagsFromResource', Resource: resource },
  ]);
  const header = (
    <Header
      variant="h2"
      actions={
        !editing && !loaded.error ? (
          <Guarded answer={mays.find((m) => !m.Allowed)} onClick={() => setEditing(true)} ariaLabel={`${t('common.edit')}: ${t('nodes.tags')}`}>
            {t('common.edit')}
          </Guarded>
        ) : undefined
      }
    >
      {t('nodes.tags')}
    </Header>
  );
  const save = async () => {
    setError(undefined);
    const keys = tags.map((tag) => tag.Key);
    if (keys.some((k) => k === '')) return setError(t('nodes.tags.empty-key'));
    if (new Set(keys).size < keys.length) return setError(t('nodes.tags.twice'));
    setBusy(true);
    const before = loaded.data ?? [];
    const gone = before.filter((b) => !keys.includes(b.Key)).map((b) => b.Key);
    const put = tags.filter((tag) => !before.some((b) => b.Key === tag.Key && b.Value === tag.Value));
    try {
      if (gone.length > 0) await call('ssm', 'RemoveTagsFromResource', { ...what, TagKeys: gone });
      if (put.length > 0) await call('ssm', 'AddTagsToResource', { ...what, Tags: put });
      flash('success', t('nodes.tags.saved', { id }));
      setEditing(false);
      loaded.reload();
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  };
  return (
    <Container header={header}>
      {loaded.error ? (
        <ErrorAlert error={loaded.error} />
      ) : !editing ? (
        tags.length > 0 ? <KeyValuePairs columns={3} items={tags.map((tag) => ({ label: tag.Key, value: tag.Value || t('common.none') }))} /> : <Box>{t('nodes.tags.empty')}</Box>
      ) : (
        <SpaceBetween size="m">
          {tags.map((tag, i) => (
            <SpaceBetween key={i} direction="horizontal" size="xs">
              <Input ariaLabel={`${t('common.key')} ${i + 1}`} placeholder={t('common.key')} value={tag.Key} onChange={({ detail }) => setTags(tags.map((x, j) => (j === i ? { ...x, Key: detail.value } : x)))} />
              <Input ariaLabel={`${t('common.value')} ${i + 1}`} placeholder={t('common.value')} value={tag.Value} onChange={({ detail }) => setTags(tags.map((x, j) => (j === i ? { ...x, Value: detail.value } : x)))} />
              <Button onClick={() => setTags(tags.filter((_, j) => j !== i))} ariaLabel={`${t('nodes.tags.remove')} ${i + 1}`}>
                {t('nodes.tags.remove')}
              </Button>
            </SpaceBetween>
          ))}
          <Button onClick={() => setTags([...tags, { Key: '', Value: '' }])}>{t('nodes.tags.add')}</Button>
          <ErrorAlert error={error} />
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="primary" loading={busy} onClick={save}>
              {t('common.save')}
            </Button>
            <Button
              variant="link"
              onClick={() => {
                setTags(loaded.data ?? []);
                setEditing(false);
              }}
            >
              {t('common.cancel')}
            </Button>
          </SpaceBetween>
          <Command args={['ssm', 'add-tags-to-resource', '--resource-type', 'ManagedInstance', '--resource-id', id, '--tags', ...tags.map((tag) => `Key=${tag.Key},Value=${tag.Value}`)]} />
        </SpaceBetween>
      )}
    </Container>
  );
}

export function FleetSettings() {
  const { session, t, flash } = useApp();
  const tier = useTier();
  const [open, setOpen] = useState(false);
  const [accepted, setAccepted] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [may] = useMay([{ Action: 'ssm:UpdateServiceSetting', Resource: arns(session).setting(tierSetting) }]);
  const next = tier.data === 'advanced' ? 'standard' : 'advanced';
  const change = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await call('ssm', 'UpdateServiceSetting', { SettingId: tierSetting, SettingValue: next });
      flash('success', t(`tier.changed.${next}`));
      go('/fleet');
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  };
  return (
    <ContentLayout header={<Header variant="h1">{`${t('nav.fleet-manager')}: ${t('nodes.settings')}`}</Header>}>
      {tier.error ? (
        <ErrorAlert error={tier.error} />
      ) : !tier.data ? (
        <Spinner />
      ) : (
        <Container
          header={
            <Header variant="h2" actions={<Guarded answer={may} onClick={() => setOpen(true)}>{t('tier.change')}</Guarded>}>
              {t('tier.title')}
            </Header>
          }
        >
          <KeyValuePairs
            items={[
              {
                label: t('tier.current'),
                value: `${t(tier.data === 'advanced' ? 'tier.advanced' : 'tier.standard')} - ${t(tier.data === 'advanced' ? 'tier.advanced.text' : 'tier.standard.text')}`,
              },
            ]}
          />
        </Container>
      )}
      {open && (
        <Modal
          visible
          onDismiss={() => setOpen(false)}
          header={t('tier.change')}
          closeAriaLabel={t('common.close')}
          footer={
            <Box float="right">
              <SpaceBetween direction="horizontal" size="xs">
                <Button variant="link" onClick={() => setOpen(false)}>
                  {t('common.cancel')}
                </Button>
                <Button variant="primary" disabled={!accepted} loading={busy} onClick={change} data-testid="confirm">
                  {t('tier.confirm')}
                </Button>
              </SpaceBetween>
            </Box>
          }
        >
          <SpaceBetween size="m">
            <Box>{t(next === 'advanced' ? 'tier.advanced.text' : 'tier.standard.text')}</Box>
            <Checkbox checked={accepted} onChange={({ detail }) => setAccepted(detail.checked)} description={t('tier.accept.hint')}>
              {t('tier.accept')}
            </Checkbox>
            <ErrorAlert error={error} />
            <Command args={['ssm', 'update-service-setting', '--setting-id', tierSetting, '--setting-value', next]} />
          </SpaceBetween>
        </Modal>
      )}
    </ContentLayout>
  );
}
