// What the tests of the console's pages share: people with a browser, words of the console
// in both languages, and checks that every page must hold. It takes
//   URL, SHOTS (a folder for screenshots), CHROMIUM
// from the environment. A test ends by finish().
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const { URL: url, SHOTS: shots, CHROMIUM: executablePath } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const failures = [];
export const check = (ok, what) => {
  if (!ok) failures.push(what);
};
// The console's own catalogue.
const source = readFileSync(new globalThis.URL('../src/messages.ts', import.meta.url), 'utf8');
export const { text } = await import(`data:text/javascript,${encodeURIComponent(
  source.replace(/ as const satisfies .*;/, ';').replace(/^export type .*$/gm, '').replace(/export function text\(.*\{$/m, 'export function text(language, key, values = {}) {').replace('(whole, name: string)', '(whole, name)'),
)}`);

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

export async function person(language, user, secret) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: language === 'ja' ? 'ja-JP' : 'en-US', viewport: { width: 1280, height: 720 } });
  context.setDefaultTimeout(Number(process.env.PATIENCE ?? 60_000));
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url });
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

export const open = async ({ page }, path) => {
  await page.goto(`${url}/#/${path}`);
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  await page.waitForFunction(() => !document.querySelector('[class*="awsui_spinner"], [class*="awsui_loading"]'));
};
export const button = ({ page }, name) => page.getByRole('button', { name, exact: true });
export const shot = (page, name) => page.screenshot({ path: `${shots}/${name}.png` });

/** Waits until the terminal that is shown has a line like the pattern; place is its test id. */
export const shows = (page, place, pattern) =>
  page.waitForFunction(
    ([id, p]) => [...document.querySelectorAll(`[data-testid=${id}]`)].some((e) => e.clientHeight > 0 && new RegExp(p, 'm').test(e.text?.() ?? '')),
    [place, pattern],
  );

export async function accessible(page, what) {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(500); // for transitions of colours and messages: axe looks at what is there
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const v of violations) check(false, `axe: ${what}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')}`);
}

/** An operation, called as the page calls it. */
export async function api({ page }, service, operation, input) {
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

/** A user with these statements, signed in. */
export async function limited(admin, language, name, statements) {
  const secret = 'Correct-horse-9-battery';
  const UserName = `${name}-${language}`;
  await api(admin, 'iam', 'CreateUser', { UserName });
  await api(admin, 'iam', 'CreateLoginProfile', { UserName, Password: secret });
  if (statements.length > 0) {
    await api(admin, 'iam', 'PutUserPolicy', { UserName, PolicyName: 'some', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: statements }) });
  }
  return person(language, UserName, secret);
}

export async function story(name, f) {
  const begin = Date.now();
  try {
    await f();
  } catch (e) {
    failures.push(`${name}: ${e.stack}`);
    for (const context of browser.contexts()) {
      for (const [i, page] of context.pages().entries()) {
        await shot(page, `failed-${name}-${i}`).catch(() => {});
        failures.push((await page.locator('body').innerText().catch(() => '')).slice(0, 600));
      }
    }
  }
  console.log(`${name}: ${((Date.now() - begin) / 1000).toFixed(1)} s`);
}

/** Both colours, and as wide as a phone. */
export async function everywhere({ page, language }, name) {
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

export async function finish() {
  await browser.close();
  if (failures.length > 0) {
    console.log(`${failures.length} failures:`);
    for (const f of failures) console.log(`- ${f}`);
    process.exit(1);
  }
}
