import FormField from '@cloudscape-design/components/form-field';
import Textarea from '@cloudscape-design/components/textarea';
import { useEffect, useState } from 'react';
import { ServiceError, call, denied } from './api';
import { useApp } from './context';

/**
 * What is wrong with a policy, as it is typed: first whether it is JSON, then what the
 * service's own reader says. Trust policies have another reader, which only saving asks;
 * so has whoever may not simulate.
 */
export function usePolicyProblem(text: string, trust = false): string {
  const { t } = useApp();
  const [said, setSaid] = useState({ text: '', problem: '' });
  let problem = '';
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) problem = t('docs.bad.object');
  } catch (e) {
    problem = t('docs.bad.json', { error: (e as Error).message });
  }
  const ask = problem === '' && !trust;
  useEffect(() => {
    if (!ask) return;
    let current = true;
    const timer = setTimeout(() => {
      call('iam', 'SimulateCustomPolicy', { PolicyInputList: [text], ActionNames: ['sts:GetCallerIdentity'] }).then(
        () => current && setSaid({ text, problem: '' }),
        (e: unknown) => current && setSaid({ text, problem: e instanceof ServiceError && !denied(e) && e.code !== 'NetworkError' && e.code !== 'SignedOut' ? e.message : '' }),
      );
    }, 300);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text, ask]);
  return problem || (ask && said.text === text ? said.problem : '');
}

/** A policy's text, checked as it is typed. */
export function PolicyText(props: { label: string; value: string; onChange: (text: string) => void; trust?: boolean }) {
  const { t } = useApp();
  const problem = usePolicyProblem(props.value, props.trust);
  return (
    <FormField label={props.label} stretch errorText={problem} constraintText={problem ? undefined : t('docs.checked')}>
      <div className="code-input">
        <Textarea value={props.value} onChange={({ detail }) => props.onChange(detail.value)} spellcheck={false} rows={14} />
      </div>
    </FormField>
  );
}
