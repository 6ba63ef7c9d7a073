import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Textarea from '@cloudscape-design/components/textarea';
import { useMemo, useState } from 'react';
import { all } from './api';
import { arns, useApp, useLoad } from './context';
import { allOf } from './iam';
import { type Column, List } from './list';
import { Command, ErrorAlert } from './parts';

interface Statement {
  SourcePolicyId: string;
  SourcePolicyType: string;
  StartPosition: { Line: number; Column: number };
}

interface Result {
  EvalActionName: string;
  EvalResourceName: string;
  EvalDecision: string;
  MatchedStatements?: Statement[];
  MissingContextValues?: string[];
}

interface Line extends Result {
  principal: string;
  key: string;
}

const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);
/** How many principals are asked about at a time. */
const together = 6;

/** Says what policies decide, of one principal or of everybody: who can, and why. */
export function Simulator({ principal: first }: { principal?: string | undefined }) {
  const { session, t } = useApp();
  const arn = arns(session);
  const people = useLoad(async () => {
    const [users, roles] = await Promise.all([allOf<{ Arn: string }>('ListUsers', 'Users'), allOf<{ Arn: string }>('ListRoles', 'Roles')]);
    return [...users, ...roles].map((p) => p.Arn);
  }, 'principals');
  const nodes = useLoad(() => all<{ InstanceId: string; ComputerName?: string }>('DescribeInstanceInformation', 'InstanceInformationList', { MaxResults: 50 }, 500), 'simulator nodes');
  const [principal, setPrincipal] = useState(first ?? '');
  const [actions, setActions] = useState('ssm:StartSession');
  const [resources, setResources] = useState('*');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [lines, setLines] = useState<Line[]>();

  const run = async () => {
    setBusy(true);
    setError(undefined);
    setLines(undefined);
    try {
      const asked = principal ? [principal] : (people.data ?? []);
      const found: Line[] = [];
      for (let i = 0; i < asked.length; i += together) {
        const answers = await Promise.all(
          asked.slice(i, i + together).map(async (who) => ({
            who,
            results: await allOf<Result>('SimulatePrincipalPolicy', 'EvaluationResults', { PolicySourceArn: who, ActionNames: words(actions), ResourceArns: words(resources) }),
          })),
        );
        for (const { who, results } of answers) {
          found.push(...results.map((r) => ({ ...r, principal: who, key: `${who} ${r.EvalActionName} ${r.EvalResourceName}` })));
        }
      }
      setLines(found);
    } catch (e) {
      setError(e);
    }
    setBusy(false);
  };

  const can = useMemo(() => {
    const by = new Map<string, boolean>();
    for (const l of lines ?? []) by.set(l.principal, (by.get(l.principal) ?? true) && l.EvalDecision === 'allowed');
    return [...by].filter(([, yes]) => yes).map(([who]) => who);
  }, [lines]);
  const columns = useMemo<Column<Line>[]>(() => {
    const why = (l: Line) => {
      const by = (l.MatchedStatements ?? []).map((s) => `${s.SourcePolicyId} (${s.SourcePolicyType}) ${s.StartPosition.Line}:${s.StartPosition.Column}`);
      const missing = l.MissingContextValues ?? [];
      return [...(by.length > 0 ? by : [t('sim.none')]), ...(missing.length > 0 ? [t('sim.missing', { keys: missing.join(', ') })] : [])].join('; ');
    };
    const decision = (l: Line) => (l.EvalDecision === 'allowed' ? t('sim.allowed') : l.EvalDecision === 'explicitDeny' ? t('sim.explicit') : t('sim.implicit'));
    return [
      { id: 'principal', header: t('sim.principal'), text: (l) => l.principal, cell: (l) => l.principal.replace(/^.*?:(?=(user|role|group)\/)/, '') },
      { id: 'decision', header: t('sim.decision'), text: decision, cell: (l) => <StatusIndicator type={l.EvalDecision === 'allowed' ? 'success' : 'error'}>{decision(l)}</StatusIndicator> },
      { id: 'why', header: t('sim.why'), text: why, cell: why },
      { id: 'action', header: t('sim.action'), text: (l) => l.EvalActionName, cell: (l) => l.EvalActionName },
      { id: 'resource', header: t('error.resource'), text: (l) => l.EvalResourceName, cell: (l) => l.EvalResourceName },
    ];
  }, [t]);
  const everybody = { value: '', label: t('sim.everybody') };
  return (
    <ContentLayout header={<Header variant="h1" description={t('sim.description')}>{t('access.simulator')}</Header>}>
      <SpaceBetween size="l">
        <Container>
          <SpaceBetween size="m">
            <FormField label={t('sim.principal')}>
              {people.error && first === undefined ? (
                <Input value={principal} onChange={({ detail }) => setPrincipal(detail.value)} placeholder={`arn:aws:iam::${session.Account}:user/NAME`} spellcheck={false} />
              ) : (
                <Select
                  selectedOption={principal ? { value: principal, label: principal } : everybody}
                  filteringType="auto"
                  options={[everybody, ...[...new Set([...(first ? [first] : []), ...(people.data ?? [])])].map((p) => ({ value: p, label: p }))]}
                  onChange={({ detail }) => setPrincipal(detail.selectedOption.value ?? '')}
                />
              )}
            </FormField>
            <FormField label={t('sim.node')} description={t('sim.node.hint')}>
              <Select
                selectedOption={null}
                placeholder={t('common.choose')}
                filteringType="auto"
                options={(nodes.data ?? []).map((n) => ({ value: n.InstanceId, label: n.ComputerName ? `${n.InstanceId} (${n.ComputerName})` : n.InstanceId }))}
                onChange={({ detail }) => {
                  setActions('ssm:StartSession');
                  setResources(`${arn.node(detail.selectedOption.value ?? '')}\n${arn.document('SSM-SessionManagerRunShell')}`);
                }}
              />
            </FormField>
            <FormField label={t('sim.actions')}>
              <Input value={actions} onChange={({ detail }) => setActions(detail.value)} spellcheck={false} />
            </FormField>
            <FormField label={t('sim.resources')} stretch>
              <Textarea value={resources} onChange={({ detail }) => setResources(detail.value)} spellcheck={false} rows={3} />
            </FormField>
            <Button variant="primary" loading={busy} onClick={run} disabled={!principal && people.loading}>
              {t('sim.run')}
            </Button>
          </SpaceBetween>
        </Container>
        {people.error ? <ErrorAlert error={people.error} /> : null}
        <ErrorAlert error={error} />
        {lines && (
          <>
            <Alert type="info" header={t('sim.can')}>
              <span data-testid="can">{can.length > 0 ? can.join(', ') : t('sim.nobody')}</span>
            </Alert>
            <List<Line>
              title={t('sim.results')}
              loaded={{ data: lines, error: undefined, loading: false, reload: () => void run() }}
              columns={columns}
              id={(l) => l.key}
              empty={t('access.empty')}
            />
          </>
        )}
        <Command
          args={['iam', 'simulate-principal-policy', '--policy-source-arn', principal || 'ARN', '--action-names', ...words(actions), '--resource-arns', ...words(resources)]}
        />
      </SpaceBetween>
    </ContentLayout>
  );
}
