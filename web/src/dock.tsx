import Button from '@cloudscape-design/components/button';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useRef } from 'react';
import { useApp } from './context';
import { choose, resizeDock, undock, useDocked } from './docked';
import { TerminalPane } from './terminal';

const tabId = (id: string) => `dock-tab-${id}`;
const panelId = (id: string) => `dock-panel-${id}`;

/** Terminals below the pages. They stay as one goes from page to page. */
export default function Dock() {
  const { t } = useApp();
  const { sessions, active, size } = useDocked();
  const tabs = useRef<HTMLDivElement>(null);
  if (sessions.length === 0) return null;
  const move = (e: React.KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!by || !active) return;
    e.preventDefault();
    const next = sessions[(sessions.indexOf(active) + by + sessions.length) % sessions.length]!;
    choose(next);
    tabs.current?.querySelector<HTMLElement>(`[id="${CSS.escape(tabId(next))}"]`)?.focus();
  };
  return (
    <section className={`dock dock-${size}`} aria-label={t('dock.title')} data-testid="dock">
      <div className="dock-bar">
        <div className="dock-tabs" role="tablist" aria-label={t('dock.title')} ref={tabs} onKeyDown={move}>
          {sessions.map((id) => (
            <button key={id} type="button" role="tab" id={tabId(id)} aria-controls={panelId(id)} aria-selected={id === active} tabIndex={id === active ? 0 : -1} onClick={() => choose(id)}>
              {id}
            </button>
          ))}
        </div>
        <SpaceBetween direction="horizontal" size="xs">
          <Button
            iconName="external"
            ariaLabel={t('dock.tab')}
            onClick={() => {
              if (active && window.open(`#/terminal/${encodeURIComponent(active)}`)) undock(active);
            }}
          />
          <Button iconName="close" ariaLabel={t('dock.close')} onClick={() => active && undock(active)} />
          {size !== 'minimised' && (
            <Button iconName={size === 'tall' ? 'shrink' : 'expand'} ariaLabel={t(size === 'tall' ? 'dock.shorter' : 'dock.taller')} onClick={() => resizeDock(size === 'tall' ? 'normal' : 'tall')} />
          )}
          <Button
            iconName={size === 'minimised' ? 'angle-up' : 'angle-down'}
            ariaLabel={t(size === 'minimised' ? 'dock.restore' : 'dock.minimise')}
            onClick={() => resizeDock(size === 'minimised' ? 'normal' : 'minimised')}
          />
        </SpaceBetween>
      </div>
      {sessions.map((id) => (
        <div key={id} className="dock-panel" role="tabpanel" id={panelId(id)} aria-labelledby={tabId(id)} hidden={id !== active || size === 'minimised'}>
          <TerminalPane id={id} heading="h2" shown={id === active && size !== 'minimised'} />
        </div>
      ))}
    </section>
  );
}
