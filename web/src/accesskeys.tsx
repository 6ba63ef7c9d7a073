import Alert from '@cloudscape-design/components/alert';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMemo, useState } from 'react';
import { useApp, useLoad, useMay } from './context';
import { type Dated, allOf, call, seconds } from './iam';
import { type Column, List } from './list';
import { Command, CommandLine, Confirm, DateTime, ErrorAlert, Guarded } from './parts';

interface AccessKey {
  AccessKeyId: string;
  Status: string;
  CreateDate?: Dated;
}

/** The access keys of a user. A secret is shown once, when its key is made. */
export function AccessKeys({ user, arn }: { user: string; arn: string }) {
  const { t, flash } = useApp();
  const loaded = useLoad(() => allOf<AccessKey>('ListAccessKeys', 'AccessKeyMetadata', { UserName: user }), `keys ${user}`);
  const [chosen, setChosen] = useState<string>();
  const [made, setMade] = useState<{ AccessKeyId: string; SecretAccessKey: string }>();
  const [asked, setAsked] = useState<'create' | 'delete'>();
  const [error, setError] = useState<unknown>();
  const [create, update, remove] = useMay(['Create', 'Update', 'Delete'].map((verb) => ({ Action: `iam:${verb}AccessKey`, Resource: arn })));
  const selected = loaded.data?.find((k) => k.AccessKeyId === chosen);
  const unchosen = selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') };
  const columns = useMemo<Column<AccessKey>[]>(
    () => [
      { id: 'id', header: t('access.keys.id'), text: (k) => k.AccessKeyId, cell: (k) => k.AccessKeyId },
      { id: 'status', header: t('access.keys.status'), text: (k) => k.Status, cell: (k) => (k.Status === 'Active' ? t('access.keys.active') : t('access.keys.inactive')) },
      { id: 'created', header: t('access.created'), text: (k) => String(seconds(k.CreateDate)), cell: (k) => <DateTime seconds={seconds(k.CreateDate) ?? 0} /> },
    ],
    [t],
  );
  const turn = async () => {
    if (!selected) return;
    setError(undefined);
    try {
      await call('iam', 'UpdateAccessKey', { UserName: user, AccessKeyId: selected.AccessKeyId, Status: selected.Status === 'Active' ? 'Inactive' : 'Active' });
      loaded.reload();
    } catch (e) {
      setError(e);
    }
  };
  return (
    <SpaceBetween size="m">
      {made && (
        <Alert type="warning" header={t('access.keys.once')} dismissible dismissAriaLabel={t('common.close')} onDismiss={() => setMade(undefined)}>
          <KeyValuePairs
            items={[
              { label: t('access.keys.id'), value: <CommandLine line={made.AccessKeyId} /> },
              { label: t('access.keys.secret'), value: <span data-testid="secret"><CommandLine line={made.SecretAccessKey} /></span> },
            ]}
          />
        </Alert>
      )}
      <ErrorAlert error={error} />
      <List<AccessKey>
        title={t('access.keys')}
        loaded={loaded}
        columns={columns}
        id={(k) => k.AccessKeyId}
        empty={t('access.empty')}
        selected={selected}
        select={(k) => setChosen(k.AccessKeyId)}
        actions={
          <SpaceBetween direction="horizontal" size="xs">
            <Guarded answer={remove} {...unchosen} onClick={() => setAsked('delete')}>
              {t('common.delete')}
            </Guarded>
            <Guarded answer={update} {...unchosen} onClick={turn}>
              {selected?.Status === 'Inactive' ? t('access.keys.activate') : t('access.keys.deactivate')}
            </Guarded>
            <Guarded answer={create} onClick={() => setAsked('create')}>
              {t('access.keys.create')}
            </Guarded>
          </SpaceBetween>
        }
      />
      <Command args={['iam', 'list-access-keys', '--user-name', user]} />
      {asked === 'create' && (
        <Confirm
          title={t('access.keys.create')}
          action={t('common.create')}
          command={['iam', 'create-access-key', '--user-name', user]}
          close={() => setAsked(undefined)}
          run={async () => {
            setMade((await call<{ AccessKey: { AccessKeyId: string; SecretAccessKey: string } }>('iam', 'CreateAccessKey', { UserName: user })).AccessKey);
            loaded.reload();
          }}
        >
          {t('access.keys.once')}
        </Confirm>
      )}
      {asked === 'delete' && selected && (
        <Confirm
          title={t('access.delete.title', { name: selected.AccessKeyId })}
          action={t('common.delete')}
          command={['iam', 'delete-access-key', '--user-name', user, '--access-key-id', selected.AccessKeyId]}
          close={() => setAsked(undefined)}
          run={async () => {
            await call('iam', 'DeleteAccessKey', { UserName: user, AccessKeyId: selected.AccessKeyId });
            flash('success', t('access.deleted', { name: selected.AccessKeyId }));
            loaded.reload();
          }}
        >
          {t('access.delete.text')}
        </Confirm>
      )}
    </SpaceBetween>
  );
}
