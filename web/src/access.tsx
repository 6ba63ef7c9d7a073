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
import { useMemo, useState } from 'react';
import { AccessKeys } from './accesskeys';
import { Audit } from './audit';
import { go, useApp, useLoad, useMay } from './context';
import { type Dated, allOf, call, iamARN, plain, seconds } from './iam';
import { type Column, List } from './list';
import { Command, Confirm, DateTime, ErrorAlert, Guarded } from './parts';
import { ConsolePassword } from './password';
import { Policies, PolicyDetails } from './policies';
import { PolicyText, usePolicyProblem } from './policytext';
import { Simulator } from './simulator';

type Kind = 'User' | 'Group' | 'Role';

interface Row {
  name: string;
  arn: string;
  path: string;
  id: string;
  created?: number | undefined;
  trust?: string | undefined;
}

interface Entity {
  UserName?: string;
  GroupName?: string;
  RoleName?: string;
  UserId?: string;
  GroupId?: string;
  RoleId?: string;
  Arn: string;
  Path: string;
  CreateDate?: Dated;
  AssumeRolePolicyDocument?: string;
}

const row = (e: Entity): Row => ({
  name: e.UserName ?? e.GroupName ?? e.RoleName ?? '',
  arn: e.Arn,
  path: e.Path,
  id: e.UserId ?? e.GroupId ?? e.RoleId ?? '',
  created: seconds(e.CreateDate),
  trust: e.AssumeRolePolicyDocument ? plain(e.AssumeRolePolicyDocument) : undefined,
});

const kinds: Record<string, Kind> = { users: 'User', groups: 'Group', roles: 'Role' };
const plural: Record<Kind, 'users' | 'groups' | 'roles'> = { User: 'users', Group: 'groups', Role: 'roles' };
const option = (kind: Kind) => `--${kind.toLowerCase()}-name`;

/** The pages below #/access. */
export default function Access({ second, third }: { second: string; third?: string | undefined }) {
  const { t } = useApp();
  const kind = kinds[second];
  if (kind) return third ? <EntityDetails kind={kind} name={third} /> : <Entities kind={kind} />;
  switch (second) {
    case 'policies':
      return third ? <PolicyDetails arn={third} /> : <Policies />;
    case 'simulator':
      return <Simulator principal={third} />;
    case 'audit':
      return <Audit />;
  }
  return <h1>{t('app.notfound')}</h1>;
}

function Entities({ kind }: { kind: Kind }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(async () => (await allOf<Entity>(`List${kind}s`, `${kind}s`)).map(row), `access ${kind}`);
  const [chosen, setChosen] = useState<Row>();
  const [asked, setAsked] = useState<'create' | 'delete'>();
  const [name, setName] = useState('');
  const [trust, setTrust] = useState(() => trustSample(session.Account));
  const selected = loaded.data?.find((r) => r.name === chosen?.name);
  const lower = kind.toLowerCase();
  const [create, remove] = useMay([
    { Action: `iam:Create${kind}`, Resource: iamARN(session, lower, '*') },
    { Action: `iam:Delete${kind}`, Resource: selected?.arn ?? iamARN(session, lower, '*') },
  ]);
  const columns = useMemo<Column<Row>[]>(
    () => [
      { id: 'name', header: t('common.name'), text: (r) => r.name, cell: (r) => <Link href={`#/access/${plural[kind]}/${encodeURIComponent(r.name)}`}>{r.name}</Link> },
      { id: 'path', header: t('access.path'), text: (r) => r.path, cell: (r) => r.path },
      { id: 'arn', header: 'ARN', text: (r) => r.arn, cell: (r) => r.arn },
      { id: 'created', header: t('access.created'), text: (r) => String(r.created), cell: (r) => <DateTime seconds={r.created ?? 0} /> },
    ],
    [t, kind],
  );
  const title = t(`access.${plural[kind]}`);
  return (
    <ContentLayout header={<Header variant="h1">{title}</Header>}>
      <SpaceBetween size="m">
        <List<Row>
          title={title}
          loaded={loaded}
          columns={columns}
          id={(r) => r.name}
          empty={t('access.empty')}
          selected={selected}
          select={setChosen}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Guarded answer={remove} {...(selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') })} onClick={() => setAsked('delete')}>
                {t('common.delete')}
              </Guarded>
              <Guarded answer={create} variant="primary" onClick={() => setAsked('create')}>
                {t('common.create')}
              </Guarded>
            </SpaceBetween>
          }
        />
        <Command args={['iam', `list-${plural[kind]}`]} />
      </SpaceBetween>
      {asked === 'create' && (
        <Confirm
          title={`${title}: ${t('common.create')}`}
          action={t('common.create')}
          command={['iam', `create-${lower}`, option(kind), name || 'NAME', ...(kind === 'Role' ? ['--assume-role-policy-document', trust] : [])]}
          close={() => setAsked(undefined)}
          run={async () => {
            await call('iam', `Create${kind}`, { [`${kind}Name`]: name, ...(kind === 'Role' && { AssumeRolePolicyDocument: trust }) });
            flash('success', t('access.made', { name }));
            go(`/access/${plural[kind]}/${encodeURIComponent(name)}`);
          }}
        >
          <SpaceBetween size="m">
            <FormField label={t('common.name')}>
              <Input value={name} onChange={({ detail }) => setName(detail.value)} spellcheck={false} name="name" />
            </FormField>
            {kind === 'Role' && <PolicyText label={t('access.trust')} value={trust} onChange={setTrust} trust />}
          </SpaceBetween>
        </Confirm>
      )}
      {asked === 'delete' && selected && (
        <Confirm
          title={t('access.delete.title', { name: selected.name })}
          action={t('common.delete')}
          command={['iam', `delete-${lower}`, option(kind), selected.name]}
          close={() => setAsked(undefined)}
          run={async () => {
            await call('iam', `Delete${kind}`, { [`${kind}Name`]: selected.name });
            flash('success', t('access.deleted', { name: selected.name }));
            loaded.reload();
          }}
        >
          {t('access.delete.text')}
        </Confirm>
      )}
    </ContentLayout>
  );
}

const trustSample = (account: string) =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'sts:AssumeRole' }] }, null, 2);

function EntityDetails({ kind, name }: { kind: Kind; name: string }) {
  const { t } = useApp();
  const loaded = useLoad(async () => row((await call<Record<string, Entity>>('iam', `Get${kind}`, { [`${kind}Name`]: name }))[kind]!), `access ${kind} ${name}`);
  const heading = (
    <Header variant="h1" actions={loaded.data && <Button onClick={() => go(`/access/simulator/${encodeURIComponent(loaded.data!.arn)}`)}>{t('access.simulator')}</Button>}>
      {name}
    </Header>
  );
  if (loaded.error) return <ContentLayout header={heading}><ErrorAlert error={loaded.error} /></ContentLayout>;
  if (!loaded.data) return <ContentLayout header={heading}><Spinner /></ContentLayout>;
  const e = loaded.data;
  return (
    <ContentLayout header={heading}>
      <SpaceBetween size="l">
        <Container>
          <KeyValuePairs
            columns={2}
            items={[
              { label: 'ARN', value: e.arn },
              { label: 'ID', value: e.id },
              { label: t('access.path'), value: e.path },
              { label: t('access.created'), value: <DateTime seconds={e.created ?? 0} /> },
            ]}
          />
        </Container>
        {kind === 'Role' && <Trust name={name} arn={e.arn} text={e.trust ?? ''} saved={loaded.reload} />}
        <Attached kind={kind} name={name} arn={e.arn} />
        <InlinePolicies kind={kind} name={name} arn={e.arn} />
        {kind === 'User' && <Groups user={name} />}
        {kind === 'User' && <ConsolePassword user={name} arn={e.arn} />}
        {kind === 'User' && <AccessKeys user={name} arn={e.arn} />}
        {kind === 'Group' && <Members group={name} />}
        <Command args={['iam', `get-${kind.toLowerCase()}`, option(kind), name]} />
      </SpaceBetween>
    </ContentLayout>
  );
}

function Trust(props: { name: string; arn: string; text: string; saved: () => void }) {
  const { t, flash } = useApp();
  const [text, setText] = useState(() => pretty(props.text));
  const [error, setError] = useState<unknown>();
  const problem = usePolicyProblem(text, true);
  const [may] = useMay([{ Action: 'iam:UpdateAssumeRolePolicy', Resource: props.arn }]);
  const save = async () => {
    setError(undefined);
    try {
      await call('iam', 'UpdateAssumeRolePolicy', { RoleName: props.name, PolicyDocument: text });
      flash('success', t('access.saved', { name: props.name }));
      props.saved();
    } catch (e) {
      setError(e);
    }
  };
  return (
    <Container header={<Header variant="h2" actions={<Guarded answer={may} disabled={problem !== ''} onClick={save}>{t('common.save')}</Guarded>}>{t('access.trust')}</Header>}>
      <SpaceBetween size="m">
        <PolicyText label={t('access.document')} value={text} onChange={setText} trust />
        <ErrorAlert error={error} />
        <Command args={['iam', 'update-assume-role-policy', '--role-name', props.name, '--policy-document', text]} />
      </SpaceBetween>
    </Container>
  );
}

/** A policy as people read it. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

interface AttachedPolicy {
  PolicyName: string;
  PolicyArn: string;
}

function Attached({ kind, name, arn }: { kind: Kind; name: string; arn: string }) {
  const { t, flash } = useApp();
  const whose = { [`${kind}Name`]: name };
  const loaded = useLoad(() => allOf<AttachedPolicy>(`ListAttached${kind}Policies`, 'AttachedPolicies', whose), `attached ${kind} ${name}`);
  const policies = useLoad(() => allOf<{ PolicyName: string; Arn: string }>('ListPolicies', 'Policies', { Scope: 'All' }), 'policies');
  const [chosen, setChosen] = useState<AttachedPolicy>();
  const [asked, setAsked] = useState<'attach' | 'detach'>();
  const [wanted, setWanted] = useState('');
  const [attach, detach] = useMay([
    { Action: `iam:Attach${kind}Policy`, Resource: arn },
    { Action: `iam:Detach${kind}Policy`, Resource: arn },
  ]);
  const selected = loaded.data?.find((p) => p.PolicyArn === chosen?.PolicyArn);
  const columns = useMemo<Column<AttachedPolicy>[]>(
    () => [
      { id: 'name', header: t('common.name'), text: (p) => p.PolicyName, cell: (p) => <Link href={`#/access/policies/${encodeURIComponent(p.PolicyArn)}`}>{p.PolicyName}</Link> },
      { id: 'arn', header: 'ARN', text: (p) => p.PolicyArn, cell: (p) => p.PolicyArn },
    ],
    [t],
  );
  const lower = kind.toLowerCase();
  return (
    <>
      <List<AttachedPolicy>
        title={t('access.attached')}
        loaded={loaded}
        columns={columns}
        id={(p) => p.PolicyArn}
        empty={t('access.empty')}
        selected={selected}
        select={setChosen}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Guarded answer={detach} {...(selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') })} onClick={() => setAsked('detach')}>
              {t('access.detach')}
            </Guarded>
            <Guarded answer={attach} onClick={() => setAsked('attach')}>
              {t('access.attach')}
            </Guarded>
          </SpaceBetween>
        }
      />
      {asked === 'attach' && (
        <Confirm
          title={t('access.attach')}
          action={t('access.attach')}
          command={['iam', `attach-${lower}-policy`, option(kind), name, '--policy-arn', wanted || 'ARN']}
          close={() => setAsked(undefined)}
          run={async () => {
            await call('iam', `Attach${kind}Policy`, { ...whose, PolicyArn: wanted });
            flash('success', t('access.saved', { name }));
            loaded.reload();
          }}
        >
          <FormField label={t('access.policy')}>
            {policies.error ? (
              <Input value={wanted} onChange={({ detail }) => setWanted(detail.value)} placeholder="arn:aws:iam::" spellcheck={false} />
            ) : (
              <Select
                selectedOption={wanted ? { value: wanted, label: wanted } : null}
                placeholder={t('common.choose')}
                filteringType="auto"
                options={(policies.data ?? []).map((p) => ({ value: p.Arn, label: p.PolicyName, description: p.Arn }))}
                onChange={({ detail }) => setWanted(detail.selectedOption.value ?? '')}
              />
            )}
          </FormField>
        </Confirm>
      )}
      {asked === 'detach' && selected && (
        <Confirm
          title={t('access.detach')}
          action={t('access.detach')}
          command={['iam', `detach-${lower}-policy`, option(kind), name, '--policy-arn', selected.PolicyArn]}
          close={() => setAsked(undefined)}
          run={async () => {
            await call('iam', `Detach${kind}Policy`, { ...whose, PolicyArn: selected.PolicyArn });
            flash('success', t('access.saved', { name }));
            loaded.reload();
          }}
        >
          {selected.PolicyArn}
        </Confirm>
      )}
    </>
  );
}

const inlineSample = JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'ssm:DescribeInstanceInformation', Resource: '*' }] }, null, 2);

function InlinePolicies({ kind, name, arn }: { kind: Kind; name: string; arn: string }) {
  const { t, flash } = useApp();
  const whose = { [`${kind}Name`]: name };
  const loaded = useLoad(() => allOf<string>(`List${kind}Policies`, 'PolicyNames', whose), `inline ${kind} ${name}`);
  const [edited, setEdited] = useState<{ existing: boolean; name: string; text: string }>();
  const [removed, setRemoved] = useState<string>();
  const [chosen, setChosen] = useState<string>();
  const [error, setError] = useState<unknown>();
  const [put, get, remove] = useMay(['Put', 'Get', 'Delete'].map((verb) => ({ Action: `iam:${verb}${kind}Policy`, Resource: arn })));
  const selected = loaded.data?.find((p) => p === chosen);
  const unchosen = selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') };
  const columns = useMemo<Column<string>[]>(() => [{ id: 'name', header: t('common.name'), text: (p) => p, cell: (p) => p }], [t]);
  const edit = async () => {
    if (!selected) return;
    setError(undefined);
    try {
      const found = await call<{ PolicyDocument: string }>('iam', `Get${kind}Policy`, { ...whose, PolicyName: selected });
      setEdited({ existing: true, name: selected, text: pretty(plain(found.PolicyDocument)) });
    } catch (e) {
      setError(e);
    }
  };
  const lower = kind.toLowerCase();
  return (
    <SpaceBetween size="m">
      <ErrorAlert error={error} />
      <List<string>
        title={t('access.inline')}
        loaded={loaded}
        columns={columns}
        id={(p) => p}
        empty={t('access.empty')}
        selected={selected}
        select={setChosen}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Guarded answer={remove} {...unchosen} onClick={() => setRemoved(selected)}>
              {t('common.delete')}
            </Guarded>
            <Guarded answer={get} {...unchosen} onClick={edit}>
              {t('common.edit')}
            </Guarded>
            <Guarded answer={put} onClick={() => setEdited({ existing: false, name: '', text: inlineSample })}>
              {t('access.inline.create')}
            </Guarded>
          </SpaceBetween>
        }
      />
      {edited && (
        <Confirm
          title={edited.existing ? edited.name : t('access.inline.create')}
          action={t('common.save')}
          command={['iam', `put-${lower}-policy`, option(kind), name, '--policy-name', edited.name || 'NAME', '--policy-document', edited.text]}
          close={() => setEdited(undefined)}
          run={async () => {
            await call('iam', `Put${kind}Policy`, { ...whose, PolicyName: edited.name, PolicyDocument: edited.text });
            flash('success', t('access.saved', { name: edited.name }));
            loaded.reload();
          }}
        >
          <SpaceBetween size="m">
            {!edited.existing && (
              <FormField label={t('common.name')}>
                <Input value={edited.name} onChange={({ detail }) => setEdited({ ...edited, name: detail.value })} spellcheck={false} />
              </FormField>
            )}
            <PolicyText label={t('access.document')} value={edited.text} onChange={(text) => setEdited({ ...edited, text })} />
          </SpaceBetween>
        </Confirm>
      )}
      {removed && (
        <Confirm
          title={t('access.delete.title', { name: removed })}
          action={t('common.delete')}
          command={['iam', `delete-${lower}-policy`, option(kind), name, '--policy-name', removed]}
          close={() => setRemoved(undefined)}
          run={async () => {
            await call('iam', `Delete${kind}Policy`, { ...whose, PolicyName: removed });
            flash('success', t('access.deleted', { name: removed }));
            loaded.reload();
          }}
        >
          {t('access.delete.text')}
        </Confirm>
      )}
    </SpaceBetween>
  );
}

function Members({ group }: { group: string }) {
  const { t } = useApp();
  const loaded = useLoad(() => allOf<{ UserName: string; Arn: string }>('GetGroup', 'Users', { GroupName: group }), `members of ${group}`);
  const columns = useMemo<Column<{ UserName: string; Arn: string }>[]>(
    () => [
      { id: 'name', header: t('common.name'), text: (u) => u.UserName, cell: (u) => <Link href={`#/access/users/${encodeURIComponent(u.UserName)}`}>{u.UserName}</Link> },
      { id: 'arn', header: 'ARN', text: (u) => u.Arn, cell: (u) => u.Arn },
    ],
    [t],
  );
  return <List<{ UserName: string; Arn: string }> title={t('access.members')} loaded={loaded} columns={columns} id={(u) => u.UserName} empty={t('access.empty')} />;
}

function Groups({ user }: { user: string }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(() => allOf<{ GroupName: string; Arn: string }>('ListGroupsForUser', 'Groups', { UserName: user }), `groups of ${user}`);
  const [chosen, setChosen] = useState<string>();
  const [adding, setAdding] = useState(false);
  const [group, setGroup] = useState('');
  const [removing, setRemoving] = useState(false);
  const selected = loaded.data?.find((g) => g.GroupName === chosen);
  const [add, remove] = useMay([
    { Action: 'iam:AddUserToGroup', Resource: iamARN(session, 'group', group || '*') },
    { Action: 'iam:RemoveUserFromGroup', Resource: selected?.Arn ?? iamARN(session, 'group', '*') },
  ]);
  const columns = useMemo<Column<{ GroupName: string; Arn: string }>[]>(
    () => [
      { id: 'name', header: t('common.name'), text: (g) => g.GroupName, cell: (g) => <Link href={`#/access/groups/${encodeURIComponent(g.GroupName)}`}>{g.GroupName}</Link> },
      { id: 'arn', header: 'ARN', text: (g) => g.Arn, cell: (g) => g.Arn },
    ],
    [t],
  );
  return (
    <>
      <List<{ GroupName: string; Arn: string }>
        title={t('access.groups')}
        loaded={loaded}
        columns={columns}
        id={(g) => g.GroupName}
        empty={t('access.empty')}
        selected={selected}
        select={(g) => setChosen(g.GroupName)}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Guarded answer={remove} {...(selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') })} onClick={() => setRemoving(true)}>
              {t('access.group.remove')}
            </Guarded>
            <Guarded answer={add} onClick={() => setAdding(true)}>
              {t('access.group.add')}
            </Guarded>
          </SpaceBetween>
        }
      />
      {adding && (
        <Confirm
          title={t('access.group.add')}
          action={t('access.group.add')}
          command={['iam', 'add-user-to-group', '--user-name', user, '--group-name', group || 'NAME']}
          close={() => setAdding(false)}
          run={async () => {
            await call('iam', 'AddUserToGroup', { UserName: user, GroupName: group });
            flash('success', t('access.saved', { name: user }));
            loaded.reload();
          }}
        >
          <FormField label={t('access.group')}>
            <Input value={group} onChange={({ detail }) => setGroup(detail.value)} spellcheck={false} />
          </FormField>
        </Confirm>
      )}
      {removing && selected && (
        <Confirm
          title={t('access.group.remove')}
          action={t('access.group.remove')}
          command={['iam', 'remove-user-from-group', '--user-name', user, '--group-name', selected.GroupName]}
          close={() => setRemoving(false)}
          run={async () => {
            await call('iam', 'RemoveUserFromGroup', { UserName: user, GroupName: selected.GroupName });
            flash('success', t('access.saved', { name: user }));
            loaded.reload();
          }}
        >
          <Box>{selected.GroupName}</Box>
        </Confirm>
      )}
    </>
  );
}
