import Alert from '@cloudscape-design/components/alert';
import FormField from '@cloudscape-design/components/form-field';
import Grid from '@cloudscape-design/components/grid';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMemo, useState } from 'react';
import { call } from './api';
import { arns, useApp, useLoad, useMay } from './context';
import { type Column, List } from './list';
import { Command, Confirm, ErrorAlert, Guarded } from './parts';

interface Share {
  AccountId: string;
  SharedDocumentVersion: string;
}

/** With whom a document is shared. */
export default function Permissions({ name }: { name: string }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(async () => {
    const list: Share[] = [];
    let NextToken: string | undefined;
    do {
      const page: { AccountSharingInfoList?: Share[]; NextToken?: string } = await call('ssm', 'DescribeDocumentPermission', { Name: name, PermissionType: 'Share', ...(NextToken && { NextToken }) });
      list.push(...(page.AccountSharingInfoList ?? []));
      NextToken = page.NextToken;
    } while (NextToken);
    return list;
  }, `permissions ${name}`);
  const [account, setAccount] = useState('');
  const [version, setVersion] = useState('');
  const [chosen, setChosen] = useState<Share>();
  const [asked, setAsked] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [may] = useMay([{ Action: 'ssm:ModifyDocumentPermission', Resource: arns(session).document(name) }]);
  const selected = loaded.data?.find((s) => s.AccountId === chosen?.AccountId);
  const columns = useMemo<Column<Share>[]>(
    () => [
      { id: 'account', header: t('share.account'), text: (s) => s.AccountId, cell: (s) => (s.AccountId === 'all' ? t('share.all') : s.AccountId) },
      { id: 'version', header: t('docs.version'), text: (s) => s.SharedDocumentVersion, cell: (s) => s.SharedDocumentVersion },
    ],
    [t],
  );
  const input = account.trim();
  const problem = input === 'all' || /^\d{12}$/.test(input) ? '' : t('share.account.hint');
  const command = (which: 'add' | 'remove', id: string) => ['ssm', 'modify-document-permission', '--name', name, '--permission-type', 'Share', `--account-ids-to-${which}`, id];
  const add = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await call('ssm', 'ModifyDocumentPermission', { Name: name, PermissionType: 'Share', AccountIdsToAdd: [input], ...(version.trim() && { SharedDocumentVersion: version.trim() }) });
      flash('success', t('share.added', { name, account: input }));
      setAccount('');
      loaded.reload();
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  };
  return (
    <SpaceBetween size="m">
      <List<Share>
        title={t('share.title')}
        loaded={loaded}
        columns={columns}
        id={(s) => s.AccountId}
        empty={t('share.empty')}
        selected={selected}
        select={setChosen}
        actions={
          <Guarded answer={may} {...(selected ? undefined : { disabled: true, disabledReason: t('common.nonechosen') })} onClick={() => setAsked(true)}>
            {t('share.remove')}
          </Guarded>
        }
      />
      {!loaded.error && (
        <>
          <Alert type="info">{t('share.alone')}</Alert>
          <Grid gridDefinition={[{ colspan: { default: 12, s: 5 } }, { colspan: { default: 12, s: 4 } }, { colspan: { default: 12, s: 3 } }]}>
            <FormField label={t('share.account')} description={t('share.account.hint')}>
              <Input value={account} onChange={({ detail }) => setAccount(detail.value)} />
            </FormField>
            <FormField label={`${t('share.version')} - ${t('common.optional')}`} description={t('share.version.hint')}>
              <Input value={version} placeholder="$DEFAULT" onChange={({ detail }) => setVersion(detail.value)} />
            </FormField>
            <Guarded answer={problem ? undefined : may} loading={busy} disabled={problem !== ''} disabledReason={problem || undefined} onClick={add}>
              {t('share.add')}
            </Guarded>
          </Grid>
          <ErrorAlert error={error} />
          <Command args={[...command('add', input || 'ACCOUNT'), ...(version.trim() ? ['--shared-document-version', version.trim()] : [])]} />
        </>
      )}
      {asked && selected && (
        <Confirm
          title={t('share.remove')}
          action={t('share.remove')}
          command={command('remove', selected.AccountId)}
          close={() => setAsked(false)}
          run={async () => {
            await call('ssm', 'ModifyDocumentPermission', { Name: name, PermissionType: 'Share', AccountIdsToRemove: [selected.AccountId] });
            flash('success', t('share.removed', { name, account: selected.AccountId }));
            loaded.reload();
          }}
        >
          {t('share.remove.text', { name, account: selected.AccountId })}
        </Confirm>
      )}
    </SpaceBetween>
  );
}
