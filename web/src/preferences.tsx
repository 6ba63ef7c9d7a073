import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import Container from '@cloudscape-design/components/container';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Spinner from '@cloudscape-design/components/spinner';
import Textarea from '@cloudscape-design/components/textarea';
import { useEffect, useState } from 'react';
import { ServiceError, call } from './api';
import { arns, go, useApp, useLoad, useMay } from './context';
import type { Key } from './messages';
import { Command, ErrorAlert, Guarded } from './parts';

const name = 'SSM-SessionManagerRunShell';

interface Inputs {
  s3BucketName: string;
  s3KeyPrefix: string;
  s3EncryptionEnabled: boolean;
  cloudWatchLogGroupName: string;
  cloudWatchEncryptionEnabled: boolean;
  cloudWatchStreamingEnabled: boolean;
  kmsKeyId: string;
  runAsEnabled: boolean;
  runAsDefaultUser: string;
  idleSessionTimeout: string;
  maxSessionDuration: string;
  shellProfile: { linux: string; windows: string };
}

const defaults: Inputs = {
  s3BucketName: '',
  s3KeyPrefix: '',
  s3EncryptionEnabled: true,
  cloudWatchLogGroupName: '',
  cloudWatchEncryptionEnabled: true,
  cloudWatchStreamingEnabled: true,
  kmsKeyId: '',
  runAsEnabled: false,
  runAsDefaultUser: '',
  idleSessionTimeout: '20',
  maxSessionDuration: '',
  shellProfile: { linux: '', windows: '' },
};

interface Stored {
  version: string | null; // null: there is none yet
  whole: Record<string, unknown>; // what the document has beside its inputs
  inputs: Inputs;
}

async function load(): Promise<Stored> {
  try {
    const d = await call<{ Content: string; DocumentVersion: string }>('ssm', 'GetDocument', { Name: name, DocumentFormat: 'JSON' });
    const whole = JSON.parse(d.Content) as Record<string, unknown>;
    const inputs = (whole.inputs ?? {}) as Partial<Inputs>;
    return { version: d.DocumentVersion, whole, inputs: { ...defaults, ...inputs, shellProfile: { ...defaults.shellProfile, ...inputs.shellProfile } } };
  } catch (e) {
    if (e instanceof ServiceError && e.code === 'InvalidDocument') {
      const whole = { schemaVersion: '1.0', description: 'Document to hold regional settings for Session Manager', sessionType: 'Standard_Stream' };
      return { version: null, whole, inputs: defaults };
    }
    throw e;
  }
}

/** The preferences: what they are, or the form that changes them. */
export function Preferences({ edit }: { edit?: boolean }) {
  const { session, t, flash } = useApp();
  const loaded = useLoad(load, 'preferences');
  const [inputs, setInputs] = useState(defaults);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    if (loaded.data) setInputs(loaded.data.inputs);
  }, [loaded.data]);
  const resource = arns(session).document(name);
  const fresh = loaded.data?.version === null;
  const mays = useMay(
    (fresh ? ['ssm:CreateDocument'] : ['ssm:UpdateDocument', 'ssm:UpdateDocumentDefaultVersion']).map((Action) => ({ Action, Resource: resource })),
  );
  const refused = mays.find((m) => !m.Allowed);
  const heading = edit ? <Header variant="h1">{t('sessions.tab.preferences')}</Header> : null;
  if (loaded.error) {
    return (
      <SpaceBetween size="m">
        {heading}
        <ErrorAlert error={loaded.error} />
      </SpaceBetween>
    );
  }
  if (!loaded.data) return <Spinner />;
  const { version } = loaded.data;
  const content = JSON.stringify({ ...loaded.data.whole, inputs }, null, 2);
  const state = version === null ? t('prefs.unsaved') : t('prefs.version', { version });

  if (!edit) {
    const show = (key: Key, value: string | boolean) => ({ label: t(key), value: typeof value === 'boolean' ? t(value ? 'common.yes' : 'common.no') : value || t('common.none') });
    const saved = loaded.data.inputs;
    return (
      <Container
        header={
          <Header
            variant="h2"
            description={state}
            actions={
              <Guarded answer={refused} onClick={() => go('/sessions/edit-preferences')}>
                {t('common.edit')}
              </Guarded>
            }
          >
            {t('sessions.tab.preferences')}
          </Header>
        }
      >
        <KeyValuePairs
          columns={3}
          items={[
            show('prefs.idle', saved.idleSessionTimeout),
            show('prefs.max', saved.maxSessionDuration),
            show('prefs.kms', saved.kmsKeyId),
            show('prefs.runas', saved.runAsEnabled),
            show('prefs.runas.user', saved.runAsDefaultUser),
            show('prefs.logs.group', saved.cloudWatchLogGroupName),
            show('prefs.logs.encrypted', saved.cloudWatchEncryptionEnabled),
            show('prefs.logs.stream', saved.cloudWatchStreamingEnabled),
            show('prefs.s3.bucket', saved.s3BucketName),
            show('prefs.s3.prefix', saved.s3KeyPrefix),
            show('prefs.s3.encrypted', saved.s3EncryptionEnabled),
            show('prefs.profile.linux', saved.shellProfile.linux),
            show('prefs.profile.windows', saved.shellProfile.windows),
          ]}
        />
      </Container>
    );
  }

  const set = <K extends keyof Inputs>(key: K, value: Inputs[K]) => setInputs((i) => ({ ...i, [key]: value }));
  const line = (key: 'idleSessionTimeout' | 'maxSessionDuration' | 'kmsKeyId' | 'runAsDefaultUser' | 'cloudWatchLogGroupName' | 's3BucketName' | 's3KeyPrefix', label: Key, hint?: Key) => (
    <FormField label={t(label)} description={hint && t(hint)}>
      <Input value={inputs[key]} onChange={({ detail }) => set(key, detail.value)} name={key} spellcheck={false} />
    </FormField>
  );
  const tick = (key: 'runAsEnabled' | 'cloudWatchEncryptionEnabled' | 'cloudWatchStreamingEnabled' | 's3EncryptionEnabled', label: Key) => (
    <Checkbox checked={inputs[key]} onChange={({ detail }) => set(key, detail.checked)}>
      {t(label)}
    </Checkbox>
  );
  const profile = (os: 'linux' | 'windows', label: Key) => (
    <FormField label={t(label)} description={t('prefs.profile.hint')}>
      <Textarea value={inputs.shellProfile[os]} rows={3} spellcheck={false} onChange={({ detail }) => set('shellProfile', { ...inputs.shellProfile, [os]: detail.value })} />
    </FormField>
  );
  const save = async () => {
    setBusy(true);
    setError(undefined);
    try {
      let saved = '1';
      if (version === null) {
        await call('ssm', 'CreateDocument', { Name: name, Content: content, DocumentType: 'Session', DocumentFormat: 'JSON' });
      } else {
        const made = await call<{ DocumentDescription: { DocumentVersion: string } }>('ssm', 'UpdateDocument', { Name: name, Content: content, DocumentVersion: '$LATEST', DocumentFormat: 'JSON' });
        saved = made.DocumentDescription.DocumentVersion;
        await call('ssm', 'UpdateDocumentDefaultVersion', { Name: name, DocumentVersion: saved });
      }
      flash('success', t('prefs.saved', { version: saved }));
      go('/sessions/preferences');
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <SpaceBetween size="l">
      {heading}
      <Box>{state}</Box>
      <Container header={<Header variant="h2">{t('prefs.general')}</Header>}>
        <SpaceBetween size="m">
          {line('idleSessionTimeout', 'prefs.idle', 'prefs.idle.hint')}
          {line('maxSessionDuration', 'prefs.max', 'prefs.max.hint')}
          {line('kmsKeyId', 'prefs.kms', 'prefs.kms.hint')}
          {tick('runAsEnabled', 'prefs.runas')}
          {inputs.runAsEnabled && line('runAsDefaultUser', 'prefs.runas.user', 'prefs.runas.hint')}
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">{t('prefs.logs')}</Header>}>
        <SpaceBetween size="m">
          {line('cloudWatchLogGroupName', 'prefs.logs.group')}
          {tick('cloudWatchEncryptionEnabled', 'prefs.logs.encrypted')}
          {tick('cloudWatchStreamingEnabled', 'prefs.logs.stream')}
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">{t('prefs.s3')}</Header>}>
        <SpaceBetween size="m">
          {line('s3BucketName', 'prefs.s3.bucket')}
          {line('s3KeyPrefix', 'prefs.s3.prefix')}
          {tick('s3EncryptionEnabled', 'prefs.s3.encrypted')}
        </SpaceBetween>
      </Container>
      <Container header={<Header variant="h2">{t('prefs.profile')}</Header>}>
        <SpaceBetween size="m">
          {profile('linux', 'prefs.profile.linux')}
          {profile('windows', 'prefs.profile.windows')}
        </SpaceBetween>
      </Container>
      <ErrorAlert error={error} />
      <Command
        args={
          version === null
            ? ['ssm', 'create-document', '--name', name, '--document-type', 'Session', '--content', content]
            : ['ssm', 'update-document', '--name', name, '--document-version', '$LATEST', '--content', content]
        }
      />
      <Box float="right">
        <SpaceBetween direction="horizontal" size="xs">
          <Button variant="link" onClick={() => go('/sessions/preferences')}>
            {t('common.cancel')}
          </Button>
          <Guarded answer={refused} variant="primary" loading={busy} onClick={save}>
            {t('common.save')}
          </Guarded>
        </SpaceBetween>
      </Box>
    </SpaceBetween>
  );
}
