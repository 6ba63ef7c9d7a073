// Recordings, the live view and logs in a real Chromium, against a real server that records,
// with a node. It takes
//   URL, PASSWORD (of admin), NODE, SHOTS (a folder for screenshots), CHROMIUM
// from the environment and ends with the exit code 1 if anything is not as it must be.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const { URL: url, PASSWORD: password, NODE: node, SHOTS: shots, CHROMIUM: executablePath } = process.env;
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

async function person(language, user, secret) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: language === 'ja' ? 'ja-JP' : 'en-US', viewport: { width: 1280, height: 720 } });
  context.setDefaultTimeout(60_000);
  context.on('page', (page) => {
    page.on('console', (m) => check(!/content security policy|trusted type/i.test(m.text()), `CSP: ${page.url()}: ${m.text()}`));
    page.on('pageerror', (e) => check(false, `script error: ${page.url()}: ${e.message}`));
    page.on('request', (r) => check(r.url().startsWith(url) || r.url().startsWith('data:'), `request to another host: ${r.url()}`));
  });
  const page = await context.newPage();
  const t = (key, values) => text(language, key, values);
  await page.goto(`${url}/`);
  await page.getByLabel(t('signin.user')).fill(user);
  await page.getByLabel(t('signin.password')).fill(secret);
  await page.getByRole('button', { name: t('signin.submit') }).click();
  await page.getByRole('heading', { level: 1, name: t('nav.session-manager') }).waitFor();
  return { context, page, t, language };
}

const open = async ({ page }, path) => {
  await page.goto(`${url}/#/${path}`);
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  await page.waitForFunction(() => !document.querySelector('[class*="awsui_spinner"], [class*="awsui_loading"]'));
};
const button = ({ page }, name) => page.getByRole('button', { name, exact: true });
const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png` });
const shows = (page, place, pattern) =>
  page.waitForFunction(([id, p]) => new RegExp(p, 'm').test(document.querySelector(`[data-testid=${id}]`)?.text?.() ?? ''), [place, pattern]);

async function accessible(page, what) {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(500); // for transitions of colours and messages: axe looks at what is there
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const v of violations) check(false, `axe: ${what}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')}`);
}

/** An operation, called as the page calls it. */
async function api({ page }, service, operation, input) {
  const answer = await page.evaluate(
    async ([path, body]) => {
      const r = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Sekisho-Console': '1' }, body: JSON.stringify(body) });
      return { status: r.status, body: JSON.parse((await r.text()) || '{}') };
    },
    [`/console/api/${service}/${operation}`, input],
  );
  if (answer.status !== 200) throw new Error(`${operation}: ${JSON.stringify(answer)}`);
  return answer.body;
}

async function story(name, f) {
  const begin = Date.now();
  try {
    await f();
  } catch (e) {
    failures.push(`${name}: ${e.stack}`);
    for (const context of browser.contexts()) {
      for (const [i, page] of context.pages().entries()) {
        await shot(page, `failed-${name}-${i}`).catch(() => {});
        failures.push((await page.locator('body').innerText().catch(() => '')).slice(0, 1500));
      }
    }
  }
  console.log(`${name}: ${((Date.now() - begin) / 1000).toFixed(1)} s`);
}

/** Both colours, and as wide as a phone. */
async function everywhere({ page, language }, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `${language} ${colorScheme} ${name}`);
    await shot(page, `${language}-${colorScheme}-${name}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 390, height: 800 });
  await page.waitForTimeout(300);
  await shot(page, `${language}-phone-${name}`);
  check(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${language} ${name} is wider than a phone`);
  await page.setViewportSize({ width: 1280, height: 720 });
}

const danger = '<img src=x onerror="window.attacked=1">';

for (const language of ['en', 'ja']) {
  await story(`recordings-${language}`, async () => {
    const admin = await person(language, 'admin', password);
    const { page, t } = admin;
    await open(admin, `sessions/start/${node}`);
    const [tab] = await Promise.all([admin.context.waitForEvent('page'), button(admin, t('sessions.start')).click()]);
    await tab.getByText(t('terminal.connected')).waitFor();
    await shows(tab, 'terminal', '[#$>] ?$');
    const id = decodeURIComponent(tab.url().split('/').at(-1));

    // Somebody watches it as it runs.
    await open(admin, 'sessions');
    await page.getByRole('row').filter({ hasText: id }).getByRole('radio').click();
    await button(admin, t('live.watch')).click();
    await page.getByText(t('live.watching')).waitFor();
    await tab.bringToFront();
    await tab.keyboard.type(`echo watched-$((40+2)); echo 障害対応-${language}; printf '${danger}\\n'\n`);
    await shows(tab, 'terminal', `^障害対応-${language}$`);
    await page.bringToFront();
    await shows(page, 'live', '^watched-42$');
    await shows(page, 'live', `^障害対応-${language}$`);
    await everywhere(admin, 'live');
    await button(admin, t('sessions.terminate')).click();
    await page.getByTestId('confirm').click();
    await page.getByText(t('live.ended')).waitFor();
    await tab.getByText(t('terminal.ended')).waitFor();
    await tab.close();

    // The history leads to its recording, which is whole and verified.
    await open(admin, 'sessions/history');
    await page.getByRole('row').filter({ hasText: id }).getByRole('link', { name: t('rec.one') }).click();
    await page.getByRole('heading', { level: 1, name: t('rec.of', { id }) }).waitFor();
    await page.getByText(/^(Verified|検証済み)/).waitFor();
    const transcript = page.getByRole('table').filter({ hasText: 'watched-42' });
    const line = transcript.getByRole('row').filter({ hasText: /watched-42/ }).filter({ hasNotText: 'echo' });
    await line.getByRole('button').click();
    await shows(page, 'recording', '^watched-42$');
    await everywhere(admin, 'recording');
    // Back to the beginning by the keyboard, and to the end by playing.
    const slider = page.getByRole('slider', { name: t('rec.position') });
    await slider.focus();
    await page.keyboard.press('Home');
    await page.waitForFunction(() => !/watched-42/.test(document.querySelector('[data-testid=recording]').text()));
    await page.getByLabel(t('rec.speed')).first().click();
    await page.getByRole('option', { name: t('rec.speed.of', { speed: 16 }) }).click();
    await button(admin, t('rec.play')).click();
    await shows(page, 'recording', `^障害対応-${language}$`);
    await button(admin, t('rec.play')).waitFor(); // it stops at the end

    await button(admin, t('rec.hold.put')).click();
    await page.getByRole('dialog').getByLabel(t('sessions.reason')).fill('case 42');
    await page.getByTestId('confirm').click();
    await page.getByText(t('rec.hold.for', { reason: 'case 42' })).waitFor();
    await button(admin, t('rec.hold.release')).click();
    await page.getByTestId('confirm').click();
    await button(admin, t('rec.hold.put')).waitFor();

    // The list and its filter; search in what sessions showed.
    await open(admin, 'recordings');
    await page.getByRole('link', { name: id }).waitFor();
    await everywhere(admin, 'recordings');
    await page.getByLabel(t('sessions.owner'), { exact: true }).fill('nobody');
    await button(admin, t('rec.apply')).click();
    await page.getByText(t('rec.empty')).waitFor();
    await page.getByLabel(t('sessions.owner'), { exact: true }).fill('admin');
    await button(admin, t('rec.apply')).click();
    await page.getByRole('link', { name: id }).waitFor();
    await open(admin, 'recordings/search');
    await page.getByLabel(t('rec.query')).fill(`障害対応-${language}`);
    await button(admin, t('rec.apply')).click();
    const hit = page.getByRole('row').filter({ hasText: id });
    await hit.filter({ hasText: '障害対応' }).waitFor();
    await everywhere(admin, 'search');
    await hit.getByRole('link').first().click();
    await page.getByRole('heading', { level: 1, name: t('rec.of', { id }) }).waitFor();
    await page.getByRole('row').filter({ hasText: `障害対応-${language}` }).first().waitFor();
    check(!(await page.evaluate(() => 'attacked' in window)), 'text was run as a script');
    await admin.context.close();
  });

  await story(`logs-${language}`, async () => {
    const admin = await person(language, 'admin', password);
    const { page, t } = admin;
    const logGroupName = `/console/${language}`;
    const logStreamName = 'a session';
    const put = (message) => api(admin, 'logs', 'PutLogEvents', { logGroupName, logStreamName, logEvents: [{ timestamp: Date.now(), message }] });
    await api(admin, 'logs', 'CreateLogGroup', { logGroupName });
    await api(admin, 'logs', 'CreateLogStream', { logGroupName, logStreamName });
    await put(`first ERROR ${danger}`);
    await put(JSON.stringify({ eventVersion: '1.0', sessionData: ['\u001b[31mred\u001b[0m 障害'] }));
    await open(admin, 'logs');
    await page.getByRole('link', { name: logGroupName }).waitFor();
    await everywhere(admin, 'loggroups');
    await page.getByRole('link', { name: logGroupName }).click();
    await page.getByTestId('events').getByText('red 障害').waitFor();
    await everywhere(admin, 'loggroup');
    await page.getByRole('link', { name: logStreamName }).click();
    await page.getByRole('heading', { level: 1, name: logStreamName }).waitFor();
    const events = page.getByTestId('events');
    await events.getByText('first ERROR').waitFor();
    await page.getByLabel(t('logs.pattern')).fill('ERROR');
    await page.keyboard.press('Enter');
    await events.getByText('red 障害').waitFor({ state: 'detached' });
    await events.getByText('first ERROR').waitFor();
    // What is written now is shown now, as far as it matches.
    await page.getByText(t('logs.tail')).click();
    await page.getByText(t('logs.tailing')).waitFor();
    await put('nothing of interest');
    await put('second ERROR');
    await events.getByText('second ERROR').waitFor();
    check(!(await events.innerText()).includes('nothing of interest'), 'the tail shows what does not match');
    check((await events.getByText('second ERROR').count()) === 1, 'the tail shows an event twice');
    await everywhere(admin, 'tail');
    check(!(await page.evaluate(() => 'attacked' in window)), 'text was run as a script');

    // Whoever may do none of this sees what is missing, on every page.
    const secret = 'Correct-horse-9-battery';
    const nobody = `nobody-${language}`;
    await api(admin, 'iam', 'CreateUser', { UserName: nobody });
    await api(admin, 'iam', 'CreateLoginProfile', { UserName: nobody, Password: secret });
    await admin.context.close();
    const other = await person(language, nobody, secret);
    for (const [path, action] of [['recordings', 'sekisho:ListRecordings'], ['recordings/admin-0123456789abcdef0', 'sekisho:GetRecording'], ['live/admin-0123456789abcdef0', 'sekisho:WatchSession'], ['logs', 'logs:DescribeLogGroups'], [`logs/${encodeURIComponent(logGroupName)}`, 'logs:FilterLogEvents']]) {
      await open(other, path);
      await other.page.getByText(other.t('error.denied')).first().waitFor();
      await other.page.getByText(action, { exact: true }).first().waitFor();
    }
    await accessible(other.page, `${language} denied`);
    await shot(other.page, `${language}-denied`);
    await other.context.close();
  });
}

await browser.close();
if (failures.length > 0) {
  console.log(`${failures.length} failures:`);
  for (const f of failures) console.log(`- ${f}`);
  process.exit(1);
}
