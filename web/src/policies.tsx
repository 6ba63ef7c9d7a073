import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import { useMemo, useState } from 'react';
import { go, useApp, useLoad, useMay } from './context';
import { type Dated, allOf, call, iamARN, plain, seconds } from './iam';
import { type Column, List } from './list';
import { Command, Confirm, DateTime, ErrorAlert, Guarded } from './parts';
import { PolicyText, usePolicyProblem } from './policytext';

interface Policy {
  PolicyName: string;
  Arn: string;
  DefaultVersionId: string;
  AttachmentCount?: number;
  Description?: string;
  CreateDate?: Dated;
}

interface Version {
  VersionId: string;
  IsDefaultVersion: boolean;
  CreateDate?: Dated;
}

const isProvided = (arn: string) => arn.startsWith('arn:aws:iam::aws:');

const sample = JSON.stringify(
  { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: ['ssm:StartSession'], Resource: ['arn:aws:ssm:*:*:document/SSM-SessionManagerRunShell'] }] },
  null,
  2,
);

export function Policies() {
  const { t } = useApp();
  return <PolicyList key="list" title={t('access.policies')} />;
}

function PolicyList({ title }: { title: string }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(() => allOf<Policy>('ListPolicies', 'Policies', { Scope: 'All' }), 'policies');
  const [chosen, setChosen] = useState<string>();
  const [asked, setAsked] = useState<'create' | 'delete'>();
  const [name, setName] = useState('');
  const [text, setText] = useState(sample);
  const selected = loaded.data?.find((p) => p.Arn === chosen);
  const [create, remove] = useMay([
    { Action: 'iam:CreatePolicy', Resource: iamARN(session, 'policy', '*') },
    { Action: 'iam:DeletePolicy', Resource: selected?.Arn ?? iamARN(session, 'policy', '*') },
  ]);
  const columns = useMemo<Column<Policy>[]>(
    () => [
      { id: 'name', header: t('common.name'), text: (p) => p.PolicyName, cell: (p) => <Link href={`#/access/policies/${encodeURIComponent(p.Arn)}`}>{p.PolicyName}</Link> },
      { id: 'type', header: t('access.type'), text: (p) => (isProvided(p.Arn) ? t('access.type.provided') : t('access.type.own')), cell: (p) => (isProvided(p.Arn) ? t('access.type.provided') : t('access.type.own')) },
      { id: 'attached', header: t('access.attachments'), text: (p) => String(p.AttachmentCount ?? 0), cell: (p) => p.AttachmentCount ?? 0 },
      { id: 'version', header: t('access.version'), text: (p) => p.DefaultVersionId, cell: (p) => p.DefaultVersionId },
      { id: 'arn', header: 'ARN', text: (p) => p.Arn, cell: (p) => p.Arn },
    ],
    [t],
  );
  return (
    <ContentLayout header={<Header variant="h1">{title}</Header>}>
      <SpaceBetween size="m">
        <List<Policy>
          title={title}
          loaded={loaded}
          columns={columns}
          id={(p) => p.Arn}
          empty={t('access.empty')}
          selected={selected}
          select={(p) => setChosen(p.Arn)}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Guarded answer={remove} {...(selected && !isProvided(selected.Arn) ? undefined : { disabled: true, disabledReason: t('common.nonechosen') })} onClick={() => setAsked('delete')}>
                {t('common.delete')}
              </Guarded>
              <Guarded answer={create} variant="primary" onClick={() => setAsked('create')}>
                {t('common.create')}
              </Guarded>
            </SpaceBetween>
          }
        />
        <Command args={['iam', 'list-policies', '--scope', 'All']} />
      </SpaceBetween>
      {asked === 'create' && (
        <Confirm
          title={`${title}: ${t('common.create')}`}
          action={t('common.create')}
          command={['iam', 'create-policy', '--policy-name', name || 'NAME', '--policy-document', text]}
          close={() => setAsked(undefined)}
          run={async () => {
            const made = await call<{ Policy: Policy }>('iam', 'CreatePolicy', { PolicyName: name, PolicyDocument: text });
            flash('success', t('access.made', { name }));
            go(`/access/policies/${encodeURIComponent(made.Policy.Arn)}`);
          }}
        >
          <SpaceBetween size="m">
            <FormField label={t('common.name')}>
              <Input value={name} onChange={({ detail }) => setName(detail.value)} spellcheck={false} name="name" />
            </FormField>
            <PolicyText label={t('access.document')} value={text} onChange={setText} />
          </SpaceBetween>
        </Confirm>
      )}
      {asked === 'delete' && selected && (
        <Confirm
          title={t('access.delete.title', { name: selected.PolicyName })}
          action={t('common.delete')}
          command={['iam', 'delete-policy', '--policy-arn', selected.Arn]}
          close={() => setAsked(undefined)}
          run={async () => {
            await call('iam', 'DeletePolicy', { PolicyArn: selected.Arn });
            flash('success', t('access.deleted', { name: selected.PolicyName }));
            loaded.reload();
          }}
        >
          {t('access.delete.text')}
        </Confirm>
      )}
    </ContentLayout>
  );
}

export function PolicyDetails({ arn }: { arn: string }) {
  const { t, flash } = useApp();
  const name = arn.slice(arn.lastIndexOf('/') + 1);
  const loaded = useLoad(async () => (await call<{ Policy: Policy }>('iam', 'GetPolicy', { PolicyArn: arn })).Policy, `policy ${arn}`);
  const versions = useLoad(() => allOf<Version>('ListPolicyVersions', 'Versions', { PolicyArn: arn }), `versions ${arn}`);
  const [chosen, setChosen] = useState<string>();
  const [shown, setShown] = useState<string>();
  const [removing, setRemoving] = useState<string>();
  const [error, setError] = useState<unknown>();
  const of = shown ?? loaded.data?.DefaultVersionId;
  const document = useLoad(
    async () => (of ? plain((await call<{ PolicyVersion: { Document: string } }>('iam', 'GetPolicyVersion', { PolicyArn: arn, VersionId: of })).PolicyVersion.Document) : ''),
    `policy text ${arn} ${of}`,
  );
  const own = !isProvided(arn);
  const [create, setDefault, remove] = useMay(['iam:CreatePolicyVersion', 'iam:SetDefaultPolicyVersion', 'iam:DeletePolicyVersion'].map((Action) => ({ Action, Resource: arn })));
  const selected = versions.data?.find((v) => v.VersionId === chosen);
  const unchosen = selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') };
  const columns = useMemo<Column<Version>[]>(
    () => [
      { id: 'version', header: t('access.version'), text: (v) => v.VersionId, cell: (v) => v.VersionId },
      { id: 'default', header: t('docs.versions.default'), text: (v) => String(v.IsDefaultVersion), cell: (v) => (v.IsDefaultVersion ? t('common.yes') : t('common.no')) },
      { id: 'created', header: t('access.created'), text: (v) => String(seconds(v.CreateDate)), cell: (v) => <DateTime seconds={seconds(v.CreateDate) ?? 0} /> },
    ],
    [t],
  );
  const reload = () => {
    loaded.reload();
    versions.reload();
    setShown(undefined);
  };
  const makeDefault = async () => {
    if (!selected) return;
    setError(undefined);
    try {
      await call('iam', 'SetDefaultPolicyVersion', { PolicyArn: arn, VersionId: selected.VersionId });
      flash('success', t('access.saved', { name }));
      reload();
    } catch (e) {
      setError(e);
    }
  };
  const heading = <Header variant="h1">{name}</Header>;
  if (loaded.error) return <ContentLayout header={heading}><ErrorAlert error={loaded.error} /></ContentLayout>;
  if (!loaded.data) return <ContentLayout header={heading}><Spinner /></ContentLayout>;
  return (
    <ContentLayout header={heading}>
      <SpaceBetween size="l">
        <Container>
          <KeyValuePairs
            columns={2}
            items={[
              { label: 'ARN', value: arn },
              { label: t('access.type'), value: own ? t('access.type.own') : t('access.type.provided') },
              { label: t('common.description'), value: loaded.data.Description || t('common.none') },
              { label: t('access.attachments'), value: loaded.data.AttachmentCount ?? 0 },
            ]}
          />
        </Container>
        {document.error ? (
          <ErrorAlert error={document.error} />
        ) : document.data ? (
          <Document key={`${of} ${document.data}`} arn={arn} name={name} version={of ?? ''} text={document.data} may={own ? create : undefined} saved={reload} />
        ) : (
          <Spinner />
        )}
        <ErrorAlert error={error} />
        <List<Version>
          title={t('docs.versions')}
          loaded={versions}
          columns={columns}
          id={(v) => v.VersionId}
          empty={t('access.empty')}
          selected={selected}
          select={(v) => setChosen(v.VersionId)}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button {...unchosen} onClick={() => setShown(selected?.VersionId)}>
                {t('docs.versions.view')}
              </Button>
              {own && (
                <Guarded answer={remove} {...unchosen} onClick={() => setRemoving(selected?.VersionId)}>
                  {t('common.delete')}
                </Guarded>
              )}
              {own && (
                <Guarded answer={setDefault} {...unchosen} onClick={makeDefault}>
                  {t('docs.setdefault')}
                </Guarded>
              )}
            </SpaceBetween>
          }
        />
        <Command args={['iam', 'list-policy-versions', '--policy-arn', arn]} />
        {removing && (
          <Confirm
            title={t('access.delete.title', { name: removing })}
            action={t('common.delete')}
            command={['iam', 'delete-policy-version', '--policy-arn', arn, '--version-id', removing]}
            close={() => setRemoving(undefined)}
            run={async () => {
              await call('iam', 'DeletePolicyVersion', { PolicyArn: arn, VersionId: removing });
              flash('success', t('access.deleted', { name: removing }));
              reload();
            }}
          >
            {t('access.delete.text')}
          </Confirm>
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}

/** The text of a version. Saving it makes a new version, which becomes the default. */
function Document(props: { arn: string; name: string; version: string; text: string; may: { Allowed: boolean; Message?: string } | undefined; saved: () => void }) {
  const { t, flash } = useApp();
  const [text, setText] = useState(props.text);
  const [error, setError] = useState<unknown>();
  const problem = usePolicyProblem(text);
  const save = async () => {
    setError(undefined);
    try {
      await call('iam', 'CreatePolicyVersion', { PolicyArn: props.arn, PolicyDocument: text, SetAsDefault: true });
      flash('success', t('access.saved', { name: props.name }));
      props.saved();
    } catch (e) {
      setError(e);
    }
  };
  return (
    <Container
      header={
        <Header
          variant="h2"
          actions={
            props.may && (
              <Guarded answer={props.may} disabled={problem !== '' || text === props.text} onClick={save}>
                {t('access.version.save')}
              </Guarded>
            )
          }
        >
          {t('access.document')} ({props.version})
        </Header>
      }
    >
      {props.may ? (
        <SpaceBetween size="m">
          <PolicyText label={t('access.document')} value={text} onChange={setText} />
          <ErrorAlert error={error} />
          <Command args={['iam', 'create-policy-version', '--policy-arn', props.arn, '--policy-document', text, '--set-as-default']} />
        </SpaceBetween>
      ) : (
        <pre className="content" tabIndex={0} aria-label={t('access.document')}>
          {text}
        </pre>
      )}
    </Container>
  );
}
