import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { ServiceError } from './api';
import { useApp, useLoad, useMay } from './context';
import { type Dated, call, seconds } from './iam';
import { Confirm, DateTime, ErrorAlert, Guarded } from './parts';

/** The password with which a user signs in here: set, change, remove. */
export function ConsolePassword({ user, arn }: { user: string; arn: string }) {
  const { t, flash } = useApp();
  const loaded = useLoad(async () => {
    try {
      return { since: seconds((await call<{ LoginProfile: { CreateDate?: Dated } }>('iam', 'GetLoginProfile', { UserName: user })).LoginProfile.CreateDate) ?? 0 };
    } catch (e) {
      if (e instanceof ServiceError && e.code.startsWith('NoSuchEntity')) return { since: null };
      throw e;
    }
  }, `password of ${user}`);
  const [asked, setAsked] = useState<'set' | 'remove'>();
  const [password, setPassword] = useState('');
  const has = loaded.data !== undefined && loaded.data.since !== null;
  const operation = has ? 'UpdateLoginProfile' : 'CreateLoginProfile';
  const [set, remove] = useMay([
    { Action: `iam:${operation}`, Resource: arn },
    { Action: 'iam:DeleteLoginProfile', Resource: arn },
  ]);
  const close = () => {
    setAsked(undefined);
    setPassword('');
  };
  return (
    <Container
      header={
        <Header
          variant="h2"
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              {has && (
                <Guarded answer={remove} onClick={() => setAsked('remove')}>
                  {t('password.remove')}
                </Guarded>
              )}
              <Guarded answer={set} disabled={!loaded.data} onClick={() => setAsked('set')}>
                {t('password.set')}
              </Guarded>
            </SpaceBetween>
          }
        >
          {t('password.title')}
        </Header>
      }
    >
      {loaded.error ? <ErrorAlert error={loaded.error} /> : loaded.data ? has ? <DateTime seconds={loaded.data.since ?? 0} /> : t('password.none') : t('app.loading')}
      {asked === 'set' && (
        <Confirm
          title={t('password.set')}
          action={t('common.save')}
          command={['iam', has ? 'update-login-profile' : 'create-login-profile', '--user-name', user, '--password', 'PASSWORD']}
          close={close}
          run={async () => {
            await call('iam', operation, { UserName: user, Password: password });
            flash('success', t('access.saved', { name: user }));
            loaded.reload();
          }}
        >
          <FormField label={t('signin.password')}>
            <Input value={password} onChange={({ detail }) => setPassword(detail.value)} type="password" autoComplete="new-password" />
          </FormField>
        </Confirm>
      )}
      {asked === 'remove' && (
        <Confirm
          title={t('password.remove')}
          action={t('common.delete')}
          command={['iam', 'delete-login-profile', '--user-name', user]}
          close={close}
          run={async () => {
            await call('iam', 'DeleteLoginProfile', { UserName: user });
            flash('success', t('access.saved', { name: user }));
            loaded.reload();
          }}
        >
          {t('password.remove.text')}
        </Confirm>
      )}
    </Container>
  );
}
