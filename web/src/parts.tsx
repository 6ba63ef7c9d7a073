import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button, { type ButtonProps } from '@cloudscape-design/components/button';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';
import { type Answer, ServiceError, denied } from './api';
import { useApp } from './context';

/** An error in the service's words; for a missing permission also what is missing. */
export function ErrorAlert({ error }: { error: unknown }) {
  const { t } = useApp();
  if (!error) return null;
  const missing = denied(error);
  const said = error instanceof Error ? error.message : String(error);
  if (missing) {
    return (
      <Alert type="error" header={t('error.denied')}>
        <SpaceBetween size="s">
          <KeyValuePairs
            columns={2}
            items={[
              { label: t('error.action'), value: <Box variant="code">{missing.action}</Box> },
              { label: t('error.resource'), value: <Box variant="code">{missing.resource}</Box> },
            ]}
          />
          <div>
            {t('error.said')}: <q className="said">{said}</q>
          </div>
          <div>{t('error.denied.hint')}</div>
        </SpaceBetween>
      </Alert>
    );
  }
  if (error instanceof ServiceError) {
    return (
      <Alert type="error" header={t('error.title', { operation: error.operation })}>
        {error.code === 'NetworkError' ? t('error.network') : `${error.code}: ${said}`}
      </Alert>
    );
  }
  return <Alert type="error">{said}</Alert>;
}

/** A button that says beforehand why it would be refused. */
export function Guarded({ answer, ...props }: ButtonProps & { answer: Answer | undefined }) {
  if (answer && !answer.Allowed) {
    return <Button {...props} disabled disabledReason={answer.Message} />;
  }
  return <Button {...props} />;
}

/** Quotes a word for a POSIX shell. */
export function word(s: string): string {
  return /^[\w@%+=:,./-]+$/.test(s) ? s : `'${s.replaceAll("'", `'\\''`)}'`;
}

/** The aws command that does the same, or that of sekisho where its name comes first. */
export function Command({ args }: { args: string[] }) {
  const { t } = useApp();
  const ours = args[0] === 'sekisho';
  const line = (ours ? args : ['aws', ...args]).map(word).join(' ');
  return (
    <ExpandableSection headerText={t(ours ? 'common.command.ours' : 'common.command')} variant="footer">
      <CommandLine line={line} />
    </ExpandableSection>
  );
}

export function CommandLine({ line }: { line: string }) {
  const { t } = useApp();
  return (
    <CopyToClipboard
      variant="inline"
      textToCopy={line}
      textToDisplay={line}
      copyButtonAriaLabel={t('common.copy')}
      copySuccessText={t('common.copied')}
      copyErrorText={t('common.copyfailed')}
    />
  );
}

/** Asks before something is done that cannot be taken back. */
export function Confirm(props: {
  title: string;
  children: React.ReactNode;
  action: string;
  command: string[];
  run: () => Promise<void>;
  close: () => void;
}) {
  const { t } = useApp();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const run = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await props.run();
      props.close();
    } catch (e) {
      setError(e);
      setBusy(false);
    }
  };
  return (
    <Modal
      visible
      onDismiss={props.close}
      header={props.title}
      closeAriaLabel={t('common.close')}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={props.close}>
              {t('common.cancel')}
            </Button>
            <Button variant="primary" loading={busy} onClick={run} data-testid="confirm">
              {props.action}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <SpaceBetween size="m">
        <div>{props.children}</div>
        <ErrorAlert error={error} />
        <Command args={props.command} />
      </SpaceBetween>
    </Modal>
  );
}

export function DateTime({ seconds }: { seconds?: number }) {
  const { language, t } = useApp();
  if (!seconds) return <>{t('common.none')}</>;
  const date = new Date(seconds * 1000);
  return <time dateTime={date.toISOString()}>{date.toLocaleString(language === 'ja' ? 'ja-JP' : 'en-GB', { dateStyle: 'medium', timeStyle: 'medium' })}</time>;
}
