import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { switchRole } from './api';
import { useApp } from './context';
import { iamARN } from './iam';
import { Command, ErrorAlert } from './parts';

/** Acts as a role from here on. The page is loaded anew: what was shown was another's. */
export function SwitchRole() {
  const { session, t } = useApp();
  const [role, setRole] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const arn = role.startsWith('arn:') ? role : iamARN(session, 'role', role || 'NAME');
  const submit = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await switchRole(arn);
      window.location.hash = '/sessions';
      window.location.reload();
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <ContentLayout header={<Header variant="h1" description={t('role.description')}>{t('role.switch')}</Header>}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          void submit();
        }}
      >
        <SpaceBetween size="l">
          <Container>
            <FormField label={t('role.name')} description={t('role.name.hint')}>
              <Input value={role} onChange={({ detail }) => setRole(detail.value)} spellcheck={false} name="role" />
            </FormField>
          </Container>
          <ErrorAlert error={error} />
          <Command args={['sts', 'assume-role', '--role-arn', arn, '--role-session-name', session.UserName]} />
          <Box float="right">
            <Button variant="primary" formAction="submit" loading={busy}>
              {t('role.switch')}
            </Button>
          </Box>
        </SpaceBetween>
      </form>
    </ContentLayout>
  );
}
