import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { ServiceError, type Session, signIn } from './api';
import { type Key, type Language, text } from './messages';

const said: Record<string, Key> = {
  AuthFailure: 'signin.wrong',
  PasswordResetRequired: 'signin.reset',
  ThrottlingException: 'signin.locked',
  NetworkError: 'error.network',
};

export function SignIn(props: { language: Language; choose: (l: Language) => void; ended: boolean; entered: (s: Session) => void }) {
  const t = (key: Key) => text(props.language, key);
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [needsCode, setNeedsCode] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');

  const submit = async () => {
    setBusy(true);
    setError('');
    try {
      props.entered(await signIn(user, password, code));
    } catch (e) {
      setBusy(false);
      const problem = e as ServiceError;
      if (problem.code === 'MFARequired') {
        setNeedsCode(true);
        return;
      }
      const key = said[problem.code];
      setError(key ? t(key) : problem.message);
      setCode('');
    }
  };
  return (
    <main className="signin">
      <SpaceBetween size="l">
        <form
          onSubmit={(e) => {
            e.preventDefault();
            void submit();
          }}
        >
          <Container header={<Header variant="h1">{t('signin.title')}</Header>}>
            <Form
              actions={
                <Button variant="primary" formAction="submit" loading={busy}>
                  {t('signin.submit')}
                </Button>
              }
            >
              <SpaceBetween size="m">
                {props.ended && !error && <Alert type="info">{t('signin.ended')}</Alert>}
                {error && <Alert type="error">{error}</Alert>}
                <FormField label={t('signin.user')}>
                  <Input value={user} onChange={({ detail }) => setUser(detail.value)} name="username" autoComplete="username" spellcheck={false} disabled={needsCode} />
                </FormField>
                <FormField label={t('signin.password')}>
                  <Input value={password} onChange={({ detail }) => setPassword(detail.value)} name="password" type="password" autoComplete="current-password" disabled={needsCode} />
                </FormField>
                {needsCode && (
                  <FormField label={t('signin.mfa')} description={t('signin.mfa.hint')}>
                    <Input value={code} onChange={({ detail }) => setCode(detail.value)} name="code" autoComplete="one-time-code" inputMode="numeric" autoFocus />
                  </FormField>
                )}
              </SpaceBetween>
            </Form>
          </Container>
        </form>
        <Box textAlign="center">
          <Button variant="link" onClick={() => props.choose(props.language === 'ja' ? 'en' : 'ja')}>
            <span lang={props.language === 'ja' ? 'en' : 'ja'}>{props.language === 'ja' ? 'English' : '日本語'}</span>
          </Button>
        </Box>
      </SpaceBetween>
    </main>
  );
}
