import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useMemo, useState } from 'react';
import { all, call } from './api';
import { go, useApp, useLoad, useMay } from './context';
import { type Column, List } from './list';
import { Command, CommandLine, Confirm, DateTime, ErrorAlert, Guarded, word } from './parts';

interface Activation {
  ActivationId: string;
  Description?: string;
  DefaultInstanceName?: string;
  IamRole: string;
  RegistrationLimit: number;
  RegistrationsCount: number;
  ExpirationDate?: number;
  Expired: boolean;
  CreatedDate?: number;
}

export function Activations({ create }: { create: boolean }) {
  return create ? <CreateActivation /> : <ActivationList />;
}

function ActivationList() {
  const { t, flash } = useApp();
  const loaded = useLoad(() => all<Activation>('DescribeActivations', 'ActivationList', { MaxResults: 50 }), 'activations');
  const [chosen, setChosen] = useState<Activation>();
  const [asked, setAsked] = useState(false);
  const selected = loaded.data?.find((a) => a.ActivationId === chosen?.ActivationId);
  const [create, remove] = useMay([
    { Action: 'ssm:CreateActivation', Resource: '*' },
    { Action: 'ssm:DeleteActivation', Resource: '*' },
  ]);
  const columns = useMemo<Column<Activation>[]>(() => {
    const state = (a: Activation) => (a.Expired ? 'act.expired' : a.RegistrationsCount >= a.RegistrationLimit ? 'act.usedup' : 'act.valid');
    return [
      { id: 'id', header: t('act.id'), text: (a) => a.ActivationId, cell: (a) => a.ActivationId },
      { id: 'name', header: t('act.defaultname'), text: (a) => a.DefaultInstanceName ?? '', cell: (a) => a.DefaultInstanceName || t('common.none') },
      { id: 'role', header: t('act.role'), text: (a) => a.IamRole, cell: (a) => a.IamRole },
      {
        id: 'status',
        header: t('docs.status'),
        text: (a) => t(state(a)),
        cell: (a) => <StatusIndicator type={state(a) === 'act.valid' ? 'success' : 'stopped'}>{t(state(a))}</StatusIndicator>,
      },
      { id: 'count', header: t('act.registered'), text: (a) => String(a.RegistrationsCount), cell: (a) => t('act.registered.of', { count: a.RegistrationsCount, limit: a.RegistrationLimit }) },
      { id: 'expires', header: t('act.expires'), text: (a) => String(a.ExpirationDate), cell: (a) => <DateTime seconds={a.ExpirationDate} /> },
      { id: 'created', header: t('act.created'), text: (a) => String(a.CreatedDate), cell: (a) => <DateTime seconds={a.CreatedDate} /> },
      { id: 'description', header: t('common.description'), text: (a) => a.Description ?? '', cell: (a) => a.Description || t('common.none') },
    ];
  }, [t]);
  return (
    <ContentLayout header={<Header variant="h1">{t('act.title')}</Header>}>
      <SpaceBetween size="m">
        <List<Activation>
          title={t('act.title')}
          loaded={loaded}
          columns={columns}
          id={(a) => a.ActivationId}
          empty={t('act.empty')}
          selected={selected}
          select={setChosen}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Guarded answer={remove} {...(selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') })} onClick={() => setAsked(true)}>
                {t('common.delete')}
              </Guarded>
              <Guarded answer={create} variant="primary" onClick={() => go('/activations/create')}>
                {t('act.create')}
              </Guarded>
            </SpaceBetween>
          }
        />
        <Command args={['ssm', 'describe-activations']} />
        {asked && selected && (
          <Confirm
            title={t('act.delete.title')}
            action={t('common.delete')}
            command={['ssm', 'delete-activation', '--activation-id', selected.ActivationId]}
            close={() => setAsked(false)}
            run={async () => {
              await call('ssm', 'DeleteActivation', { ActivationId: selected.ActivationId });
              flash('success', t('act.deleted', { id: selected.ActivationId }));
              loaded.reload();
            }}
          >
            {t('act.delete.text', { id: selected.ActivationId })}
          </Confirm>
        )}
      </SpaceBetween>
    </ContentLayout>
  );
}

function CreateActivation() {
  const { session, t } = useApp();
  const [role, setRole] = useState('SSMServiceRole');
  const [limit, setLimit] = useState('1');
  const [days, setDays] = useState('1');
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [made, setMade] = useState<{ ActivationId: string; ActivationCode: string }>();
  const [may] = useMay([{ Action: 'ssm:CreateActivation', Resource: '*' }]);
  const expires = () => Math.floor(Date.now() / 1000) + Math.round(Number(days) * 86400);
  const submit = async () => {
    setBusy(true);
    setError(undefined);
    try {
      setMade(
        await call('ssm', 'CreateActivation', {
          IamRole: role,
          RegistrationLimit: Number(limit),
          ExpirationDate: expires(),
          ...(name && { DefaultInstanceName: name }),
          ...(description && { Description: description }),
        }),
      );
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  };
  if (made) {
    const { ActivationId: id, ActivationCode: code } = made;
    return (
      <ContentLayout header={<Header variant="h1">{t('act.done')}</Header>}>
        <SpaceBetween size="l">
          <Alert type="warning">{t('act.once')}</Alert>
          <Container>
            <KeyValuePairs
              items={[
                { label: t('act.id'), value: <CommandLine line={id} /> },
                { label: t('act.code'), value: <span data-testid="code"><CommandLine line={code} /></span> },
              ]}
            />
          </Container>
          <Container header={<Header variant="h2">{t('act.commands')}</Header>}>
            <SpaceBetween size="m">
              <div>
                <Box variant="h3">{t('act.commands.ours')}</Box>
                <CommandLine line={`sekisho-agent register --endpoint ${word(session.Endpoint)} --region ${session.Region} --id ${id} --code ${word(code)} --ca ca.pem`} />
                <Box color="text-body-secondary">{t('act.commands.ca')}</Box>
              </div>
              <div>
                <Box variant="h3">{t('act.commands.stock')}</Box>
                <CommandLine line={`sudo amazon-ssm-agent -register -code ${word(code)} -id ${id} -region ${session.Region}`} />
                <Box color="text-body-secondary">{t('act.commands.endpoint')}</Box>
              </div>
            </SpaceBetween>
          </Container>
          <Button onClick={() => go('/activations')}>{t('common.close')}</Button>
        </SpaceBetween>
      </ContentLayout>
    );
  }
  return (
    <ContentLayout header={<Header variant="h1">{t('act.create')}</Header>}>
      <SpaceBetween size="l">
        <Container>
          <SpaceBetween size="m">
            <FormField label={t('act.role')} description={t('act.role.hint')}>
              <Input value={role} onChange={({ detail }) => setRole(detail.value)} spellcheck={false} />
            </FormField>
            <FormField label={t('act.limit')} description={t('act.limit.hint')}>
              <Input value={limit} onChange={({ detail }) => setLimit(detail.value)} type="number" inputMode="numeric" />
            </FormField>
            <FormField label={t('act.expiry')} description={t('act.expiry.hint')}>
              <Input value={days} onChange={({ detail }) => setDays(detail.value)} type="number" inputMode="numeric" />
            </FormField>
            <FormField label={`${t('act.defaultname')} - ${t('common.optional')}`}>
              <Input value={name} onChange={({ detail }) => setName(detail.value)} />
            </FormField>
            <FormField label={`${t('common.description')} - ${t('common.optional')}`}>
              <Input value={description} onChange={({ detail }) => setDescription(detail.value)} />
            </FormField>
          </SpaceBetween>
        </Container>
        <ErrorAlert error={error} />
        <Command
          args={[
            'ssm', 'create-activation', '--iam-role', role, '--registration-limit', limit,
            ...(name ? ['--default-instance-name', name] : []),
            ...(description ? ['--description', description] : []),
          ]}
        />
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={() => go('/activations')}>
              {t('common.cancel')}
            </Button>
            <Guarded answer={may} variant="primary" loading={busy} onClick={submit}>
              {t('act.create')}
            </Guarded>
          </SpaceBetween>
        </Box>
      </SpaceBetween>
    </ContentLayout>
  );
}
