// The console in a real Chromium, against a real server with two nodes. It takes
//   URL, PASSWORD (of admin), NODE_1, NODE_2, SHOTS (a folder for screenshots), CHROMIUM
// from the environment and ends with the exit code 1 if anything is not as it must be.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const { URL: url, PASSWORD: password, NODE_1: node1, NODE_2: node2, SHOTS: shots, CHROMIUM: executablePath } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const failures = [];
const check = (ok, what) => {
  if (!ok) failures.push(what);
};
// The words of both languages, from the console's own catalogue.
const source = readFileSync(new globalThis.URL('../src/messages.ts', import.meta.url), 'utf8');
const { text } = await import(`data:text/javascript,${encodeURIComponent(
  source.replace(/ as const satisfies .*;/, ';').replace(/^export type .*$/gm, '').replace(/export function text\(.*\{$/m, 'export function text(language, key, values = {}) {').replace('(whole, name: string)', '(whole, name)'),
)}`);

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

/** A browser of somebody's own, watched for what must never happen. */
async function person(language, colorScheme = 'light', viewport = { width: 1280, height: 720 }) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: language === 'ja' ? 'ja-JP' : 'en-US', colorScheme, viewport });
  context.setDefaultTimeout(20_000);
  const watch = (page) => {
    page.on('console', (m) => check(!/content security policy|trusted type/i.test(m.text()), `CSP: ${page.url()}: ${m.text()}`));
    page.on('pageerror', (e) => check(false, `script error: ${page.url()}: ${e.message}`));
    page.on('dialog', (d) => {
      check(false, `a dialog opened: ${d.message()}`);
      void d.dismiss();
    });
    page.on('request', (r) => check(r.url().startsWith(url) || r.url().startsWith('data:'), `request to another host: ${r.url()}`));
  };
  context.on('page', watch);
  const page = await context.newPage();
  const t = (key, values) => text(language, key, values);
  return { context, page, t, language };
}

const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png` });

async function accessible(page, what) {
  await page.mouse.move(0, 0); // no tooltip of a button that is not asked about
  await page.evaluate(axe); // evaluated by the debugger, so the page's policy does not matter
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const v of violations) check(false, `axe: ${what}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`);
}

async function signIn({ page, t }, user, secret) {
  await page.goto(`${url}/`);
  await page.getByLabel(t('signin.user')).fill(user);
  await page.getByLabel(t('signin.password')).fill(secret);
  await page.getByRole('button', { name: t('signin.submit') }).click();
  await page.getByRole('heading', { level: 1, name: t('nav.session-manager') }).waitFor();
}

const open = async ({ page }, path) => {
  await page.goto(`${url}/#/${path}`);
  await page.waitForFunction(() => !document.querySelector('[class*="awsui_spinner"], [class*="awsui_loading"]'));
};
const button = ({ page }, name) => page.getByRole('button', { name, exact: true });
const flash = ({ page }, message) => page.getByText(message).first().waitFor();

/** An operation, called as the page calls it. */
const api = ({ page }, service, operation, input) =>
  page.evaluate(
    async ([path, body]) => {
      const r = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Sekisho-Console': '1' }, body: JSON.stringify(body) });
      return { status: r.status, body: JSON.parse(await r.text()) };
    },
    [`/console/api/${service}/${operation}`, input],
  );

const screenText = (tab) => tab.evaluate(() => document.querySelector('[data-testid=terminal]').text());
const shows = (tab, pattern) => tab.waitForFunction((p) => new RegExp(p, 'm').test(document.querySelector('[data-testid=terminal]')?.text?.() ?? ''), pattern);

/** Starts a session on a node from the start page and gives the terminal's tab. */
async function startSession(who, node, document) {
  await open(who, `sessions/start/${node}`);
  const { page, t } = who;
  if (document) {
    await page.getByLabel(t('start.document'), { exact: true }).click();
    await page.getByRole('option', { name: document }).click();
  }
  const [tab] = await Promise.all([who.context.waitForEvent('page'), button(who, t('sessions.start')).click()]);
  await tab.getByText(t('terminal.connected')).waitFor();
  await shows(tab, '[#$>] ?$');
  return tab;
}

async function story(name, f) {
  const begin = Date.now();
  try {
    await f();
  } catch (e) {
    failures.push(`${name}: ${e.stack}`);
    for (const context of browser.contexts()) {
      for (const [i, page] of context.pages().entries()) await shot(page, `failed-${name}-${i}`).catch(() => {});
    }
  }
  console.log(`${name}: ${((Date.now() - begin) / 1000).toFixed(1)} s`);
}

const danger = '<img src=x onerror="window.attacked=1">';
const pages = [
  'sessions', 'sessions/history', 'sessions/preferences', 'sessions/edit-preferences', `sessions/start/${node1}`,
  'fleet', 'fleet/settings', `fleet/${node1}`, 'activations', 'activations/create', 'documents', 'documents/create', 'documents/AWS-StartPortForwardingSession',
];

const admins = { en: await person('en'), ja: await person('ja') };

await story('sign-in', async () => {
  const en = admins.en;
  await en.page.goto(`${url}/`);
  await accessible(en.page, 'sign-in');
  await en.page.getByLabel(en.t('signin.user')).fill('admin');
  await en.page.getByLabel(en.t('signin.password')).fill('wrong');
  await button(en, en.t('signin.submit')).click();
  await en.page.getByText(en.t('signin.wrong')).waitFor();
  await shot(en.page, 'en-sign-in-wrong');
  await signIn(en, 'admin', password);
  await signIn(admins.ja, 'admin', password);
  const [cookie] = await en.context.cookies();
  check(cookie.secure && cookie.httpOnly && cookie.sameSite === 'Strict', `cookie: ${JSON.stringify({ ...cookie, value: '' })}`);
  // Without the header, or from another site, nothing is done.
  for (const headers of [{}, { 'X-Sekisho-Console': '1', Origin: 'https://evil.example' }, { 'X-Sekisho-Console': '1', 'Sec-Fetch-Site': 'cross-site' }]) {
    const r = await en.context.request.post(`${url}/console/api/ssm/DescribeActivations`, { data: {}, headers });
    check(r.status() === 403, `a request with ${JSON.stringify(headers)} is answered ${r.status()}`);
  }
});

// The words of the guide's second and third story, in each language.
for (const [language, who] of Object.entries(admins)) {
  const { page, t } = who;
  await story(`hybrid-${language}`, async () => {
    for (const next of ['standard', 'advanced']) {
      await open(who, 'fleet/settings');
      await button(who, t('tier.change')).click();
      await page.getByText(t('tier.accept')).click();
      await shot(page, `${language}-tier-${next}`);
      await page.getByTestId('confirm').click();
      await flash(who, t(`tier.changed.${next}`));
      await page.getByRole('cell', { name: t(`tier.${next}`) }).first().waitFor();
      await shot(page, `${language}-tier-${next}-banner`);
      if (next === 'standard') {
        await open(who, `sessions/start/${node1}`);
        await button(who, t('sessions.start')).click();
        await page.getByText(/advanced-instances|advanced/).first().waitFor();
        await shot(page, `${language}-start-refused`);
      }
    }
    await open(who, 'activations/create');
    await page.getByLabel(t('act.defaultname')).fill(`by ${language}`);
    await page.getByLabel(t('common.description')).fill(danger);
    await button(who, t('act.create')).click();
    await page.getByText(t('act.once')).waitFor();
    check(/^\S{20}$/.test((await page.getByTestId('code').innerText()).trim()), 'no activation code is shown');
    await page.screenshot({ path: `${shots}/${language}-activation.png`, mask: [page.getByTestId('code')] });
    await button(who, t('common.close')).last().click(); // the others belong to the frame
    const row = page.getByRole('row').filter({ hasText: `by ${language}` });
    await row.getByRole('radio').click();
    await button(who, t('common.delete')).click();
    await page.getByTestId('confirm').click();
    await page.getByText(/[0-9a-f]{8}-[0-9a-f-]{27}/).first().waitFor();
    await row.waitFor({ state: 'detached' });
    const tab = await startSession(who, node1);
    await tab.keyboard.type('echo 関所-$((6*7)); stty size\n');
    await shows(tab, '^関所-42$');
    check(/^\d\d \d\d\d?$/m.test(await screenText(tab)), 'the size of the terminal did not reach the node');
    await shot(tab, `${language}-terminal`);
    await accessible(tab, `${language} terminal`);
    // Hostile output changes nothing but the screen.
    await tab.keyboard.type(`printf '\\033]0;${danger}\\007${danger.replaceAll("'", '')}\\n'\n`);
    await shows(tab, '^<img src=x');
    // The page that is loaded again goes on with the session.
    await tab.reload();
    await tab.getByText(t('terminal.connected')).waitFor();
    await tab.keyboard.type('echo again-$((40+2))\n');
    await shows(tab, '^again-42$');
    // So does one whose line is cut.
    await tab.setViewportSize({ width: 420, height: 700 });
    await tab.keyboard.type('stty size\n');
    await shows(tab, '^\\d\\d 4\\d$');
    await shot(tab, `${language}-terminal-phone`);
    await button({ page: tab }, t('terminal.terminate')).click();
    await tab.getByTestId('confirm').click();
    await tab.getByText(t('terminal.ended')).waitFor();
    await tab.close();
    await open(who, 'sessions/history');
    await page.getByText(t('status.Terminated')).first().waitFor();
    await shot(page, `${language}-history`);
  });

  await story(`documents-${language}`, async () => {
    const name = `Guide-${language}`;
    await open(who, 'documents/create');
    await page.getByLabel(t('common.name'), { exact: true }).fill(name);
    const area = page.getByLabel(t('docs.content'), { exact: true });
    const content = (what) => JSON.stringify({ schemaVersion: '1.0', description: danger, sessionType: 'Standard_Stream', inputs: { shellProfile: { linux: `echo profile-${what}`, windows: 'date' } } });
    await area.fill('{"schemaVersion": "2.2"}');
    await page.getByText(t('docs.bad.version')).first().waitFor();
    await shot(page, `${language}-document-invalid`);
    await area.fill(content('one'));
    await button(who, t('docs.create')).click();
    await flash(who, t('docs.saved', { name, version: 1 }));
    await page.getByText(danger).first().waitFor();
    await shot(page, `${language}-document`);
    await accessible(page, `${language} document`);
    const tab = await startSession(who, node1, name);
    await shows(tab, '^profile-one$');
    await shot(tab, `${language}-document-session`);
    await tab.close();
    await open(who, `documents/${name}/edit`);
    await page.waitForFunction(() => /profile-one/.test(document.querySelector('textarea')?.value ?? ''));
    await area.fill(content('two'));
    await button(who, t('common.save')).click();
    await flash(who, t('docs.saved', { name, version: 2 }));
    await page.getByRole('row').filter({ has: page.getByRole('radio') }).filter({ hasText: /^\s*2/ }).getByRole('radio').click();
    await button(who, t('docs.setdefault')).click();
    await flash(who, t('docs.setdefault.done', { version: 2 }));
    await button(who, t('common.delete')).click();
    await page.getByTestId('confirm').click();
    await flash(who, t('docs.deleted', { name }));
    // Preferences make a new version of the template.
    await open(who, 'sessions/edit-preferences');
    await page.getByLabel(t('prefs.idle'), { exact: true }).fill(language === 'ja' ? '31' : '30');
    await button(who, t('common.save')).click();
    await page.getByText(text(language, 'prefs.saved', { version: language === 'ja' ? 2 : 1 })).waitFor();
    await shot(page, `${language}-preferences`);
  });
}

await story('permissions', async () => {
  const admin = admins.en;
  const who = await admin.page.evaluate(async () => (await fetch('/console/session', { method: 'POST', headers: { 'X-Sekisho-Console': '1' }, body: '{}' })).json());
  const secret = 'Correct-horse-9-battery';
  const arn = (resource) => `arn:aws:ssm:${who.Region}:${who.Account}:${resource}`;
  const policy = {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 'ssm:StartSession', Resource: [arn(`managed-instance/${node1}`), arn('document/SSM-SessionManagerRunShell')] },
      { Effect: 'Allow', Action: ['ssm:DescribeSessions', 'ssm:GetConnectionStatus', 'ssm:DescribeInstanceProperties', 'ec2:DescribeInstances'], Resource: '*' },
      { Effect: 'Allow', Action: ['ssm:TerminateSession', 'ssm:ResumeSession'], Resource: 'arn:aws:ssm:*:*:session/${aws:userid}-*' },
    ],
  };
  for (const [operation, input] of [
    ['CreateUser', { UserName: 'alice' }],
    ['CreateLoginProfile', { UserName: 'alice', Password: secret }],
    ['CreateGroup', { GroupName: 'operators' }],
    ['PutGroupPolicy', { GroupName: 'operators', PolicyName: 'guide', PolicyDocument: JSON.stringify(policy) }],
    ['AddUserToGroup', { GroupName: 'operators', UserName: 'alice' }],
    ['CreateUser', { UserName: 'guessed' }],
  ]) {
    const r = await api(admin, 'iam', operation, input);
    check(r.status === 200, `${operation}: ${JSON.stringify(r)}`);
  }
  for (const language of ['en', 'ja']) {
    const alice = await person(language);
    const { page, t } = alice;
    await signIn(alice, 'alice', secret);
    const tab = await startSession(alice, node1);
    await tab.keyboard.type('echo alice-$((1+1))\n');
    await shows(tab, '^alice-2$');
    await tab.close();
    // Any other machine is refused before the click, in the service's words.
    await open(alice, `sessions/start/${node2}`);
    const refused = page.getByRole('button', { name: t('sessions.start'), disabled: true });
    await refused.waitFor();
    await refused.hover({ force: true });
    await page.getByText(new RegExp(`not authorized to perform: ssm:StartSession on resource: .*${node2}`)).first().waitFor({ state: 'attached' });
    await shot(page, `${language}-alice-other-node`);
    for (const [path, action] of [['activations', 'ssm:DescribeActivations'], ['documents', 'ssm:ListDocuments'], ['fleet/settings', 'ssm:GetServiceSetting'], ['sessions/preferences', 'ssm:GetDocument'], [`fleet/${node1}`, 'ssm:ListTagsForResource']]) {
      await open(alice, path);
      await page.getByText(t('error.denied')).first().waitFor();
      await page.getByText(action, { exact: true }).first().waitFor();
      await shot(page, `${language}-alice-${path.replaceAll('/', '-')}`);
    }
    await accessible(page, `${language} denied`);
    await open(alice, 'sessions');
    await page.getByRole('row').filter({ hasText: 'alice' }).first().getByRole('radio').click();
    await button(alice, t('sessions.terminate')).click();
    await page.getByTestId('confirm').click();
    await flash(alice, /alice-[0-9a-f]{17}/);
    await page.getByRole('row').filter({ hasText: 'alice-' }).first().waitFor({ state: 'detached' });
    await alice.context.close();
  }
});

await story('hostile-text', async () => {
  const admin = admins.en;
  const r = await api(admin, 'ssm', 'AddTagsToResource', { ResourceType: 'ManagedInstance', ResourceId: node1, Tags: [{ Key: 'xss', Value: 'javascript:attacked=1' }] });
  check(r.status === 200, `tag: ${JSON.stringify(r)}`);
  for (const path of [`fleet/${node1}`, 'activations', 'sessions/history']) await open(admin, path);
  check(!(await admin.page.evaluate(() => 'attacked' in window)), 'text was run as a script');
});

// Every page in both languages, light and dark; the lists also as wide as a phone.
for (const [language, who] of Object.entries(admins)) {
  await story(`pages-${language}`, async () => {
    for (const scheme of ['light', 'dark']) {
      await who.page.emulateMedia({ colorScheme: scheme });
      for (const path of pages) {
        await open(who, path);
        await who.page.waitForTimeout(150); // for transitions of colours: axe looks at what is there
        await shot(who.page, `${language}-${scheme}-${path.replaceAll('/', '-')}`);
        await accessible(who.page, `${language} ${scheme} ${path}`);
      }
    }
    await who.page.setViewportSize({ width: 400, height: 800 });
    for (const path of ['sessions', 'fleet', 'documents']) {
      await open(who, path);
      await shot(who.page, `${language}-phone-${path}`);
      check(await who.page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${path} is wider than a phone`);
    }
  });
}

await story('brute-force', async () => {
  const thief = await person('en');
  let locked = 0;
  for (let i = 0; i < 6; i++) {
    const r = await thief.context.request.post(`${url}/console/sign-in`, { data: { UserName: 'guessed', Password: `guess-${i}`, MFACode: '' }, headers: { 'X-Sekisho-Console': '1' } });
    if (r.status() === 429) locked++;
  }
  check(locked >= 2, `of six wrong guesses ${locked} were slowed`);
  const events = await api(admins.en, 'cloudtrail', 'LookupEvents', { LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'ConsoleLogin' }] });
  check((events.body.Events ?? []).some((e) => /AuthFailure/.test(e.CloudTrailEvent)), `no failed ConsoleLogin in the trail: ${JSON.stringify(events).slice(0, 300)}`);
});

await story('sign-out', async () => {
  const { page, t } = admins.en;
  await page.setViewportSize({ width: 1280, height: 720 });
  await open(admins.en, 'sessions');
  await page.getByRole('button', { name: 'admin' }).click();
  await page.getByRole('menuitem', { name: t('app.signout.everywhere') }).click();
  await page.getByRole('heading', { name: t('signin.title') }).waitFor();
  // Everywhere: the other browser is told at its next request.
  await admins.ja.page.goto(`${url}/#/activations/create`);
  await admins.ja.page.goto(`${url}/#/fleet`);
  await admins.ja.page.getByText(admins.ja.t('signin.ended')).waitFor();
});

await browser.close();
if (failures.length > 0) {
  console.log(`${failures.length} failures:`);
  for (const f of failures) console.log(`- ${f}`);
  process.exit(1);
}
