import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useMemo, useState } from 'react';
import { call } from './api';
import { useApp, useLoad } from './context';
import { type Dated, seconds } from './iam';
import { type Column, List } from './list';
import { Command, DateTime } from './parts';

interface Event {
  EventId: string;
  EventName: string;
  EventTime: Dated;
  EventSource: string;
  Username?: string;
  Resources?: { ResourceName?: string; ResourceType?: string }[];
  CloudTrailEvent?: string;
}

const attributes = ['EventName', 'Username', 'ResourceName', 'ResourceType', 'EventSource', 'EventId', 'ReadOnly', 'AccessKeyId'];
/** The most that an answer has, and how many answers are put together. */
const pageSize = 50;
const pages = 4;

/** The event history: who did what, as CloudTrail tells it. */
export function Audit() {
  const { t } = useApp();
  const [attribute, setAttribute] = useState('EventName');
  const [value, setValue] = useState('');
  const [asked, setAsked] = useState<{ AttributeKey: string; AttributeValue: string }>();
  const loaded = useLoad(async () => {
    const list: Event[] = [];
    let token: string | undefined;
    for (let i = 0; i < pages; i++) {
      const page = await call<{ Events?: Event[]; NextToken?: string }>('cloudtrail', 'LookupEvents', {
        MaxResults: pageSize,
        ...(asked && { LookupAttributes: [asked] }),
        ...(token && { NextToken: token }),
      });
      list.push(...(page.Events ?? []));
      token = page.NextToken;
      if (!token) break;
    }
    return list;
  }, `audit ${JSON.stringify(asked)}`);
  const [chosen, setChosen] = useState<string>();
  const selected = loaded.data?.find((e) => e.EventId === chosen);
  const columns = useMemo<Column<Event>[]>(() => {
    const resources = (e: Event) => (e.Resources ?? []).map((r) => r.ResourceName ?? '').join(', ');
    const problem = (e: Event) => {
      try {
        return String((JSON.parse(e.CloudTrailEvent ?? '{}') as { errorCode?: string }).errorCode ?? '');
      } catch {
        return '';
      }
    };
    return [
      { id: 'name', header: t('audit.name'), text: (e) => e.EventName, cell: (e) => e.EventName },
      { id: 'time', header: t('audit.time'), text: (e) => String(seconds(e.EventTime)), cell: (e) => <DateTime seconds={seconds(e.EventTime) ?? 0} /> },
      { id: 'user', header: t('audit.user'), text: (e) => e.Username ?? '', cell: (e) => e.Username || t('common.none') },
      { id: 'source', header: t('audit.source'), text: (e) => e.EventSource, cell: (e) => e.EventSource },
      { id: 'resources', header: t('audit.resources'), text: resources, cell: (e) => resources(e) || t('common.none') },
      { id: 'error', header: t('audit.error'), text: problem, cell: (e) => problem(e) || t('common.none') },
    ];
  }, [t]);
  const details = useMemo(() => {
    try {
      return JSON.stringify(JSON.parse(selected?.CloudTrailEvent ?? ''), null, 2);
    } catch {
      return selected?.CloudTrailEvent ?? '';
    }
  }, [selected]);
  return (
    <ContentLayout header={<Header variant="h1" description={t('audit.description', { count: pageSize * pages })}>{t('audit.title')}</Header>}>
      <SpaceBetween size="m">
        <form
          onSubmit={(e) => {
            e.preventDefault();
            setAsked(value ? { AttributeKey: attribute, AttributeValue: value } : undefined);
          }}
        >
          <SpaceBetween direction="horizontal" size="s">
            <FormField label={t('audit.attribute')}>
              <Select
                selectedOption={{ value: attribute, label: attribute }}
                options={attributes.map((a) => ({ value: a, label: a }))}
                onChange={({ detail }) => setAttribute(detail.selectedOption.value ?? 'EventName')}
              />
            </FormField>
            <FormField label={t('common.value')}>
              <Input value={value} onChange={({ detail }) => setValue(detail.value)} spellcheck={false} />
            </FormField>
            <FormField label={<>&nbsp;</>}>
              <Button formAction="submit">{t('audit.lookup')}</Button>
            </FormField>
          </SpaceBetween>
        </form>
        <List<Event> title={t('audit.title')} loaded={loaded} columns={columns} id={(e) => e.EventId} empty={t('access.empty')} selected={selected} select={(e) => setChosen(e.EventId)} />
        {selected && (
          <Container header={<Header variant="h2">{t('audit.event')}</Header>}>
            <pre className="content" tabIndex={0} aria-label={t('audit.event')} data-testid="event">
              {details}
            </pre>
          </Container>
        )}
        <Command args={['cloudtrail', 'lookup-events', ...(asked ? ['--lookup-attributes', `AttributeKey=${asked.AttributeKey},AttributeValue=${asked.AttributeValue}`] : [])]} />
      </SpaceBetween>
    </ContentLayout>
  );
}
