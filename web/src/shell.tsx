import AppLayout from '@cloudscape-design/components/app-layout';
import Flashbar from '@cloudscape-design/components/flashbar';
import SideNavigation from '@cloudscape-design/components/side-navigation';
import Spinner from '@cloudscape-design/components/spinner';
import TopNavigation from '@cloudscape-design/components/top-navigation';
import { Suspense, lazy, useEffect, useState } from 'react';
import { Activations } from './activations';
import { signOut, switchRole } from './api';
import { type Flash, useApp } from './context';
import { forgetKeys } from './crypto';
import { emptyDock, useDocked } from './docked';
import { DocumentDetails, DocumentEditor, Documents } from './documents';
import type { Theme } from './main';
import type { Language } from './messages';
import { FleetSettings, NodeDetails, Nodes } from './nodes';
import { Preferences } from './preferences';
import { SessionManager, streamOf } from './sessions';
import { StartSession } from './start';
import { SwitchRole } from './switchrole';

// xterm.js is loaded when a terminal is opened.
const Terminal = lazy(() => import('./terminal'));
// So are the pages that only administrators open.
const Access = lazy(() => import('./access'));
const Recordings = lazy(() => import('./recordings'));
const Live = lazy(() => import('./live'));
const Logs = lazy(() => import('./logs'));
const LogObject = lazy(async () => ({ default: (await import('./logs')).LogObject }));
const Tunnels = lazy(() => import('./tunnels'));
const Dock = lazy(() => import('./dock'));

function useRoute(): string[] {
  const parse = () => {
    // The form of AWS's console, in which the service says where a log is.
    const stream = streamOf(window.location.hash);
    if (stream) return ['logs', ...stream];
    return window.location.hash
      .replace(/^#\/?/, '')
      .split('/')
      .filter(Boolean)
      .map((part) => {
        try {
          return decodeURIComponent(part);
        } catch {
          return part;
        }
      });
  };
  const [route, setRoute] = useState(parse);
  useEffect(() => {
    const listen = () => setRoute(parse());
    window.addEventListener('hashchange', listen);
    return () => window.removeEventListener('hashchange', listen);
  }, []);
  return route;
}

export function Shell(props: {
  choose: { language: (l: Language) => void; theme: (m: Theme) => void };
  theme: Theme;
  flashes: Flash[];
  dismiss: (id: string) => void;
  left: () => void;
}) {
  const { session, t, language } = useApp();
  const route = useRoute();
  const [open, setOpen] = useState(() => window.innerWidth > 900);
  const docked = useDocked().sessions.length > 0;
  const [page, second, third] = route;
  const title = page === 'fleet' ? t('nav.fleet-manager') : page === 'activations' ? t('nav.activations') : page === 'documents' ? t('nav.documents') : page === 'access' ? t('nav.access') : page === 'recordings' || page === 'live' ? t('nav.recordings') : page === 'logs' || page === 'objects' ? t('nav.logs') : page === 'tunnels' ? t('nav.tunnels') : t('nav.session-manager');
  useEffect(() => {
    if (page !== 'terminal') document.title = `${title} | Sekisho`;
  }, [page, title]);

  if (page === 'terminal' && second) {
    return (
      <Suspense fallback={<div className="waiting"><Spinner size="large" /></div>}>
        <Terminal id={second} key={second} />
      </Suspense>
    );
  }
  const leave = async (everywhere: boolean) => {
    try {
      await signOut(everywhere);
    } finally {
      emptyDock();
      forgetKeys();
      props.left();
    }
  };
  const choose = async (id: string) => {
    if (id === 'switch') {
      window.location.hash = '/switch-role';
    } else if (id === 'back') {
      await switchRole('').catch(() => {}); // the page that is loaded anew shows who one is
      window.location.reload();
    } else {
      await leave(id === 'everywhere');
    }
  };
  return (
    <>
      <div id="top">
        <TopNavigation
          identity={{ href: '#/sessions', title: t('app.name') }}
          utilities={[
            { type: 'button', text: session.Region, disableUtilityCollapse: false, ariaLabel: `${t('app.region')} ${session.Region}`, href: '#/sessions' },
            {
              type: 'menu-dropdown',
              iconName: 'settings',
              ariaLabel: t('app.theme'),
              title: t('app.theme'),
              items: (['system', 'light', 'dark'] as const).map((id) => ({ id, text: t(`app.theme.${id}`), itemType: 'checkbox' as const, checked: props.theme === id })),
              onItemClick: ({ detail }) => props.choose.theme(detail.id as Theme),
            },
            {
              type: 'menu-dropdown',
              text: language === 'ja' ? '日本語' : 'English',
              ariaLabel: `${t('app.language')}: ${language === 'ja' ? '日本語' : 'English'}`,
              title: t('app.language'),
              items: [
                { id: 'en', text: 'English' },
                { id: 'ja', text: '日本語' },
              ],
              onItemClick: ({ detail }) => props.choose.language(detail.id as Language),
            },
            {
              type: 'menu-dropdown',
              text: session.Role ? t('role.as', { role: session.Role, user: session.UserName }) : session.UserName,
              description: t('app.account', { account: session.Account }),
              iconName: 'user-profile',
              items: [
                { id: 'switch', text: t('role.switch') },
                ...(session.Role && !session.Federated ? [{ id: 'back', text: t('role.back') }] : []),
                { id: 'out', text: t('app.signout') },
                { id: 'everywhere', text: t('app.signout.everywhere') },
              ],
              onItemClick: ({ detail }) => void choose(detail.id),
            },
          ]}
        />
      </div>
      <AppLayout
        headerSelector="#top"
        footerSelector="#dock"
        toolsHide
        navigationOpen={open}
        onNavigationChange={({ detail }) => setOpen(detail.open)}
        ariaLabels={{ navigation: t('app.skip'), navigationClose: t('common.close'), navigationToggle: t('app.skip'), notifications: t('app.notifications') }}
        notifications={
          <Flashbar
            items={props.flashes.map((f) => ({
              id: f.id,
              type: f.type,
              content: f.content,
              dismissible: true,
              dismissLabel: t('app.dismiss'),
              onDismiss: () => props.dismiss(f.id),
            }))}
          />
        }
        navigation={
          <SideNavigation
            header={{ href: '#/sessions', text: 'Systems Manager' }}
            activeHref={page === 'access' ? `#/access/${second ?? 'users'}` : `#/${page ?? 'sessions'}`}
            items={[
              {
                type: 'section',
                text: t('nav.node-management'),
                items: [
                  { type: 'link', text: t('nav.fleet-manager'), href: '#/fleet' },
                  { type: 'link', text: t('nav.activations'), href: '#/activations' },
                  { type: 'link', text: t('nav.session-manager'), href: '#/sessions' },
                  { type: 'link', text: t('nav.tunnels'), href: '#/tunnels' },
                ],
              },
              {
                type: 'section',
                text: t('nav.records'),
                items: [
                  { type: 'link', text: t('nav.recordings'), href: '#/recordings' },
                  { type: 'link', text: t('nav.logs'), href: '#/logs' },
                ],
              },
              { type: 'section', text: t('nav.shared'), items: [{ type: 'link', text: t('nav.documents'), href: '#/documents' }] },
              {
                type: 'section',
                text: t('nav.access'),
                items: [
                  ...(['users', 'groups', 'roles', 'policies', 'simulator'] as const).map((id) => ({ type: 'link' as const, text: t(`access.${id}`), href: `#/access/${id}` })),
                  { type: 'link', text: t('audit.title'), href: '#/access/audit' },
                ],
              },
            ]}
          />
        }
        content={<Page key={route.join('/')} page={page ?? 'sessions'} second={second} third={third} />}
      />
      <div id="dock">
        {docked && (
          <Suspense fallback={null}>
            <Dock />
          </Suspense>
        )}
      </div>
    </>
  );
}

function Page({ page, second, third }: { page: string; second?: string | undefined; third?: string | undefined }) {
  const { t } = useApp();
  switch (page) {
    case 'sessions':
      if (second === 'start') return <StartSession target={third} />;
      if (second === 'edit-preferences') return <Preferences edit />;
      return <SessionManager tab={second ?? 'active'} />;
    case 'fleet':
      if (second === 'settings') return <FleetSettings />;
      return second ? <NodeDetails id={second} /> : <Nodes />;
    case 'activations':
      return <Activations create={second === 'create'} />;
    case 'documents':
      if (second === 'create') return <DocumentEditor />;
      if (second && third === 'edit') return <DocumentEditor name={second} />;
      return second ? <DocumentDetails name={second} /> : <Documents />;
    case 'switch-role':
      return <SwitchRole />;
    case 'access':
      return (
        <Suspense fallback={<Spinner size="large" />}>
          <Access second={second ?? 'users'} third={third} />
        </Suspense>
      );
    case 'recordings':
    case 'logs': {
      const Part = page === 'logs' ? Logs : Recordings;
      return (
        <Suspense fallback={<Spinner size="large" />}>
          <Part second={second} third={third} />
        </Suspense>
      );
    }
    case 'objects':
      if (!second || !third) break;
      return (
        <Suspense fallback={<Spinner size="large" />}>
          <LogObject bucket={second} name={third} />
        </Suspense>
      );
    case 'tunnels':
      return (
        <Suspense fallback={<Spinner size="large" />}>
          <Tunnels second={second} third={third} />
        </Suspense>
      );
    case 'live':
      if (!second) break;
      return (
        <Suspense fallback={<Spinner size="large" />}>
          <Live id={second} />
        </Suspense>
      );
  }
  return <h1>{t('app.notfound')}</h1>;
}
