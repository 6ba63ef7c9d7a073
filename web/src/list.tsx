import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Header from '@cloudscape-design/components/header';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table, { type TableProps } from '@cloudscape-design/components/table';
import TextFilter from '@cloudscape-design/components/text-filter';
import { useMemo, useState } from 'react';
import type { Loaded } from './context';
import { useApp } from './context';
import { ErrorAlert } from './parts';

export interface Column<T> {
  id: string;
  header: string;
  cell: (item: T) => React.ReactNode;
  /** What it is filtered and sorted by. */
  text: (item: T) => string;
}

const pageSize = 25;

/** A list with a filter, pages, and its error in place of its rows. */
export function List<T>(props: {
  title: string;
  loaded: Loaded<T[]>;
  columns: Column<T>[];
  id: (item: T) => string;
  empty: string;
  actions?: React.ReactNode;
  selected?: T | undefined;
  select?: (item: T) => void;
  variant?: TableProps['variant'];
}) {
  const { t } = useApp();
  const [filter, setFilter] = useState('');
  const [page, setPage] = useState(1);
  const [sort, setSort] = useState<{ id: string; descending: boolean }>();
  const list = props.loaded.data ?? [];
  const shown = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    let found = list;
    if (words.length > 0) {
      found = list.filter((item) => {
        const all = props.columns.map((c) => c.text(item)).join('\n').toLowerCase();
        return words.every((w) => all.includes(w));
      });
    }
    const by = props.columns.find((c) => c.id === sort?.id);
    if (by && sort) {
      const sign = sort.descending ? -1 : 1;
      found = [...found].sort((a, b) => sign * by.text(a).localeCompare(by.text(b)));
    }
    return found;
  }, [list, filter, sort, props.columns]);
  const pages = Math.max(1, Math.ceil(shown.length / pageSize));
  const at = Math.min(page, pages);
  if (props.loaded.error) {
    return (
      <SpaceBetween size="m">
        <Header variant="h2" actions={<SpaceBetween direction="horizontal" size="xs"><Button iconName="refresh" ariaLabel={t('common.refresh')} onClick={props.loaded.reload} />{props.actions}</SpaceBetween>}>
          {props.title}
        </Header>
        <ErrorAlert error={props.loaded.error} />
      </SpaceBetween>
    );
  }
  return (
    <Table<T>
      variant={props.variant ?? 'container'}
      items={shown.slice((at - 1) * pageSize, at * pageSize)}
      trackBy={props.id}
      loading={props.loaded.loading && !props.loaded.data}
      loadingText={t('app.loading')}
      columnDefinitions={props.columns.map((c) => ({ id: c.id, header: c.header, cell: c.cell, sortingField: c.id, isRowHeader: c === props.columns[0] }))}
      sortingColumn={sort ? { sortingField: sort.id } : undefined}
      sortingDescending={sort?.descending}
      onSortingChange={({ detail }) => setSort({ id: detail.sortingColumn.sortingField ?? '', descending: detail.isDescending ?? false })}
      selectionType={props.select ? 'single' : undefined}
      selectedItems={props.selected ? [props.selected] : []}
      onSelectionChange={({ detail }) => detail.selectedItems[0] && props.select?.(detail.selectedItems[0])}
      ariaLabels={{
        tableLabel: props.title,
        selectionGroupLabel: t('common.selection'),
        itemSelectionLabel: (_, item) => t('common.select', { name: props.id(item) }),
      }}
      header={
        <Header
          variant="h2"
          counter={`(${list.length})`}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button iconName="refresh" ariaLabel={t('common.refresh')} loading={props.loaded.loading} onClick={props.loaded.reload} />
              {props.actions}
            </SpaceBetween>
          }
        >
          {props.title}
        </Header>
      }
      filter={
        <TextFilter
          filteringText={filter}
          filteringPlaceholder={t('common.filter')}
          filteringAriaLabel={`${t('common.filter')}: ${props.title}`}
          filteringClearAriaLabel={t('common.clear')}
          countText={t('common.matches', { count: shown.length })}
          onChange={({ detail }) => {
            setFilter(detail.filteringText);
            setPage(1);
          }}
        />
      }
      pagination={
        <Pagination
          currentPageIndex={at}
          pagesCount={pages}
          onChange={({ detail }) => setPage(detail.currentPageIndex)}
          ariaLabels={{
            paginationLabel: `${t('common.pages')}: ${props.title}`,
            nextPageLabel: t('common.nextpage'),
            previousPageLabel: t('common.prevpage'),
            pageLabel: (n) => t('common.page', { page: n }),
          }}
        />
      }
      empty={<Box textAlign="center">{list.length > 0 ? t('common.nomatch') : props.empty}</Box>}
    />
  );
}
