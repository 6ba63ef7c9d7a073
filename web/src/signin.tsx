import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import Form from '@cloudscape-design/components/form';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useEffect, useState } from 'react';
import { ServiceError, type Session, signIn, signInMethods } from './api';
import { type Key, type Language, text } from './messages';

const said: Record<string, Key> = {
  AuthFailure: 'signin.wrong',
  PasswordResetRequired: 'signin.reset',
  ThrottlingException: 'signin.locked',
  NetworkError: 'error.network',
};

/** Why a sign-in by the identity provider failed, by the server's code (internal/console/oidc.go). */
const failed: Record<string, Key> = {
  OIDCExpired: 'signin.oidc.expired',
  OIDCCanceled: 'signin.oidc.canceled',
  OIDCProvider: 'signin.oidc.provider',
  OIDCToken: 'signin.oidc.token',
  OIDCNoRole: 'signin.oidc.norole',
  OIDCNoName: 'signin.oidc.noname',
  OIDCDenied: 'signin.oidc.denied',
  OIDCConfig: 'signin.oidc.config',
};

/** The server leads back here with a code behind the hash; only known codes have words. */
function comeBack(): Key | null {
  const code = /^#\/sign-in\/(\w+)$/.exec(window.location.hash)?.[1];
  return code ? (failed[code] ?? 'signin.oidc.failed') : null;
}

export function SignIn(props: { language: Language; choose: (l: Language) => void; ended: boolean; entered: (s: Session) => void }) {
  const t = (key: Key, values?: Record<string, string>) => text(props.language, key, values);
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [needsCode, setNeedsCode] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [why, setWhy] = useState<Key | null>(comeBack);
  const [provider, setProvider] = useState('');
  useEffect(() => {
    if (window.location.hash.startsWith('#/sign-in/')) window.history.replaceState(null, '', '#/sessions');
    const listen = () => {
      const key = comeBack();
      if (key) setWhy(key);
    };
    window.addEventListener('hashchange', listen);
    signInMethods().then(
      (m) => setProvider(m.OIDC ?? ''),
      () => {}, // user and password are there in any case
    );
    return () => window.removeEventListener('hashchange', listen);
  }, []);

  const submit = async () => {
    setBusy(true);
    setError('');
    setWhy(null);
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
                {why && <Alert type="error">{t(why)}</Alert>}
                {props.ended && !error && !why && <Alert type="info">{t('signin.ended')}</Alert>}
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
        {provider && (
          <Box textAlign="center">
            <SpaceBetween size="s">
              <div>{t('signin.or')}</div>
              <Button onClick={() => window.location.assign('/console/oidc/start')} fullWidth>
                {t('signin.oidc', { name: provider })}
              </Button>
            </SpaceBetween>
          </Box>
        )}
        <Box textAlign="center">
          <Button variant="link" onClick={() => props.choose(props.language === 'ja' ? 'en' : 'ja')}>
            <span lang={props.language === 'ja' ? 'en' : 'ja'}>{props.language === 'ja' ? 'English' : '日本語'}</span>
          </Button>
        </Box>
      </SpaceBetween>
    </main>
  );
}
