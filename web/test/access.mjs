// The pages below Access in a real Chromium, against a real server with a node. It takes
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
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// What the pages say, in the two languages; the catalogue itself is checked by its types.
const words = {
  en: {
    user: 'User name', password: 'Password', enter: 'Sign in', create: 'Create', name: 'Name', remove: 'Delete', created: 'was created', deleted: 'was deleted', saved: 'was saved',
    attach: 'Attach policy', newKey: 'Create access key', deactivate: 'Deactivate', inactive: 'Inactive', document: 'Policy document', version: 'Save as new default version',
    node: 'Node', run: 'Run simulation', denied: "You don't have permission", lookup: 'Look up', history: 'Event history', noPassword: /has no password/, setPassword: 'Set password', addToGroup: 'Add to group', inline: 'Add inline policy', switchRole: 'Switch role', role: 'Role', back: 'Switch back',
  },
  ja: {
    user: 'ユーザー名', password: 'パスワード', enter: 'サインイン', create: '作成', name: '名前', remove: '削除', created: 'を作成しました', deleted: 'を削除しました', saved: 'を保存しました',
    attach: 'ポリシーのアタッチ', newKey: 'アクセスキーの作成', deactivate: '無効化', inactive: '無効', document: 'ポリシードキュメント', version: '新しいデフォルトバージョンとして保存',
    node: 'ノード', run: 'シミュレーションの実行', denied: '必要な権限がありません', lookup: '検索', history: 'イベント履歴', noPassword: /パスワードがなく/, setPassword: 'パスワードの設定', addToGroup: 'グループに追加', inline: 'インラインポリシーの追加', switchRole: 'ロールの切り替え', role: 'ロール', back: '元のユーザーに戻る',
  },
};

async function person(language, user, secret) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: language === 'ja' ? 'ja-JP' : 'en-US', viewport: { width: 1280, height: 720 } });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.on('console', (m) => check(!/content security policy|trusted type/i.test(m.text()), `CSP: ${page.url()}: ${m.text()}`));
  page.on('pageerror', (e) => check(false, `script error: ${page.url()}: ${e.message}`));
  page.on('request', (r) => check(r.url().startsWith(url) || r.url().startsWith('data:'), `request to another host: ${r.url()}`));
  const w = words[language];
  await page.goto(`${url}/`);
  await page.getByLabel(w.user).fill(user);
  await page.getByLabel(w.password).fill(secret);
  await page.getByRole('button', { name: w.enter }).click();
  await page.getByRole('heading', { level: 1, name: 'Session Manager' }).waitFor();
  return { context, page, w, language };
}

const open = async ({ page }, path) => {
  await page.goto(`${url}/#/${path}`);
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  await page.waitForFunction(() => !document.querySelector('[class*="awsui_spinner"], [class*="awsui_loading"]'));
};
const button = ({ page }, name) => page.getByRole('button', { name, exact: true });
const confirm = ({ page }) => page.getByTestId('confirm').click();
const says = ({ page }, text) => page.getByText(text).first().waitFor();
const shot = ({ page, language }, name) => page.screenshot({ path: `${shots}/${language}-access-${name}.png` });

async function accessible({ page, language }, what) {
  await page.mouse.move(0, 0);
  await page.waitForTimeout(500); // for transitions of colours and messages: axe looks at what is there
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const v of violations) check(false, `axe: ${language} ${what}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`);
}

async function story(name, f) {
  const begin = Date.now();
  try {
    await f();
  } catch (e) {
    failures.push(`${name}: ${e.stack}`);
    for (const context of browser.contexts()) {
      for (const [i, page] of context.pages().entries()) {
        await page.screenshot({ path: `${shots}/failed-${name}-${i}.png` }).catch(() => {});
        failures.push((await page.locator('body').innerText().catch(() => '')).slice(0, 1500));
      }
    }
  }
  console.log(`${name}: ${((Date.now() - begin) / 1000).toFixed(1)} s`);
}

const policyText = (resource) =>
  JSON.stringify({ Version: '2012-10-17', Statement: [{ Sid: 'Guide', Effect: 'Allow', Action: 'ssm:StartSession', Resource: resource }] });

for (const language of ['en', 'ja']) {
  await story(`access-${language}`, async () => {
    const admin = await person(language, 'admin', password);
    const { page, w } = admin;
    const user = `carol-${language}`;
    const policy = `Starts-${language}`;

    // A policy that is wrong is refused as it is typed, in the service's words.
    await open(admin, 'access/policies');
    await accessible(admin, 'policies');
    await button(admin, w.create).first().click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel(w.name, { exact: true }).fill(policy);
    const area = dialog.getByLabel(w.document);
    await area.fill('{"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "ssm:*", "Resource": "*"}]}');
    const wrong = dialog.locator('textarea[aria-invalid=true]');
    await wrong.waitFor();
    await page.waitForTimeout(500); // for the dialog to be there wholly
    await shot(admin, 'policy-invalid');
    const said = await dialog.locator('[class*="awsui_error"]').first().innerText();
    console.log(`a wrong effect: ${said}`);
    check(said.length > 10, 'what is wrong with the policy is not said');
    await area.fill(policyText('*'));
    await wrong.waitFor({ state: 'detached' });
    await confirm(admin);
    await says(admin, new RegExp(`${policy}.*${w.created}`));
    await page.getByRole('heading', { level: 1, name: policy }).waitFor();
    await page.getByLabel(w.document).fill(policyText('arn:aws:ssm:*:*:*'));
    await button(admin, w.version).click();
    await says(admin, new RegExp(`${policy}.*${w.saved}`));
    await page.getByRole('row').filter({ hasText: 'v2' }).waitFor();
    await shot(admin, 'policy');
    await accessible(admin, 'policy');

    // A user, with the policy and a key whose secret is shown once.
    await open(admin, 'access/users');
    await accessible(admin, 'users');
    await button(admin, w.create).first().click();
    await dialog.getByLabel(w.name, { exact: true }).fill(user);
    await confirm(admin);
    await page.getByRole('heading', { level: 1, name: user }).waitFor();
    await button(admin, w.attach).click();
    await dialog.getByRole('button', { expanded: false }).first().click();
    await page.getByRole('option', { name: policy }).first().click();
    await page.getByRole('dialog').getByTestId('confirm').click();
    await page.getByRole('link', { name: policy }).waitFor();
    await button(admin, w.newKey).click();
    await confirm(admin);
    const shownSecret = (await page.getByTestId('secret').innerText()).trim();
    check(/^\S{40}$/.test(shownSecret), `no secret access key is shown, but ${shownSecret.length} characters: ${shownSecret.replace(/[A-Za-z0-9]/g, 'x')}`);
    const keyRow = page.getByRole('row').filter({ hasText: /AKIA/ });
    await keyRow.getByRole('radio').click();
    await button(admin, w.deactivate).click();
    await keyRow.filter({ hasText: w.inactive }).waitFor();
    await page.screenshot({ path: `${shots}/${language}-access-user.png`, mask: [page.getByTestId('secret')] });
    await accessible(admin, 'user');

    // Who can start a session on this node, and why.
    await open(admin, 'access/simulator');
    await accessible(admin, 'simulator');
    await page.getByLabel(w.node, { exact: true }).click();
    await page.getByRole('option', { name: node }).first().click();
    await button(admin, w.run).click();
    const can = page.getByTestId('can');
    await can.waitFor();
    check((await can.innerText()).includes(`user/${user}`), `who can: ${await can.innerText()}`);
    await page.getByRole('row').filter({ hasText: user }).filter({ hasText: policy }).first().waitFor();
    await shot(admin, 'simulator');
    await accessible(admin, 'simulator results');

    for (const path of ['access/groups', 'access/roles', 'access/audit']) {
      await open(admin, path);
      await page.getByRole('table').first().waitFor();
      await shot(admin, path.slice(7));
      await accessible(admin, path);
    }
    await page.getByRole('row').filter({ hasText: 'CreateUser' }).first().waitFor();
    await page.getByRole('row').filter({ hasText: 'CreateUser' }).first().getByRole('radio').click();
    check(/"eventName": "CreateUser"/.test(await page.getByTestId('event').innerText()), 'the event is not shown');

    // Whoever may do none of this sees what is missing, on every page.
    const secret = 'Correct-horse-9-battery';
    await open(admin, `access/users/${user}`);
    await page.getByText(w.noPassword).waitFor();
    await button(admin, w.setPassword).click();
    await page.getByRole('dialog').getByLabel(w.password).fill(secret);
    await confirm(admin);
    await page.getByText(w.noPassword).waitFor({ state: 'detached' });

    // A group, its user, and text that would like to be a script.
    const danger = '<img src=x onerror="window.attacked=1">';
    const group = `ops-${language}`;
    await open(admin, 'access/groups');
    await button(admin, w.create).first().click();
    await page.getByRole('dialog').getByLabel(w.name, { exact: true }).fill(group);
    await confirm(admin);
    await page.getByRole('heading', { level: 1, name: group }).waitFor();
    await open(admin, `access/users/${user}`);
    await button(admin, w.addToGroup).click();
    await page.getByRole('dialog').getByRole('textbox').first().fill(group);
    await confirm(admin);
    await page.getByRole('link', { name: group }).waitFor();
    await open(admin, `access/groups/${group}`);
    await page.getByRole('link', { name: user }).waitFor();
    await button(admin, w.inline).click();
    await page.getByRole('dialog').getByLabel(w.name, { exact: true }).fill('Hostile');
    await page.getByRole('dialog').getByLabel(w.document).fill(JSON.stringify({ Version: '2012-10-17', Id: danger, Statement: [{ Effect: 'Deny', Action: 'ssm:SendCommand', Resource: '*', Condition: { StringEquals: { 'aws:username': danger } } }] }));
    await confirm(admin);
    await page.getByRole('cell', { name: 'Hostile' }).waitFor();
    await shot(admin, 'group');
    await open(admin, `access/users/${encodeURIComponent(danger)}`);
    await open(admin, 'access/audit');
    check(!(await page.evaluate(() => 'attacked' in window)), 'text was run as a script');

    // Dark, and as wide as a phone.
    await page.emulateMedia({ colorScheme: 'dark' });
    for (const path of [`access/users/${user}`, 'access/policies', 'access/simulator', 'access/audit', 'switch-role']) {
      await open(admin, path);
      await shot(admin, `dark-${path.replaceAll('/', '-')}`);
      await accessible(admin, `dark ${path}`);
    }
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 400, height: 800 });
    for (const path of ['access/users', 'access/policies', 'access/simulator', 'access/audit']) {
      await open(admin, path);
      await shot(admin, `phone-${path.replaceAll('/', '-')}`);
      check(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${path} is wider than a phone`);
    }
    await page.setViewportSize({ width: 1280, height: 720 });
    const carol = await person(language, user, secret);
    for (const [path, action] of [['users', 'iam:ListUsers'], ['groups', 'iam:ListGroups'], ['roles', 'iam:ListRoles'], ['policies', 'iam:ListPolicies'], ['audit', 'cloudtrail:LookupEvents'], ['simulator', 'iam:List'], [`users/${user}`, 'iam:GetUser']]) {
      await open(carol, `access/${path}`);
      await says(carol, w.denied);
      await carol.page.getByText(action).first().waitFor();
    }
    await accessible(carol, 'denied');
    await carol.context.close();

    // A role without policies, and back.
    const role = `Nothing-${language}`;
    const called = await page.evaluate(async (name) => {
      const post = async (path, body) => (await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Sekisho-Console': '1' }, body: JSON.stringify(body) })).json();
      const { Account } = await post('/console/session', {});
      const trust = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${Account}:root` }, Action: 'sts:AssumeRole' }] };
      return post('/console/api/iam/CreateRole', { RoleName: name, AssumeRolePolicyDocument: JSON.stringify(trust) });
    }, role);
    check(called.Role?.RoleName === role, `CreateRole: ${JSON.stringify(called).slice(0, 300)}`);
    await page.getByRole('button', { name: 'admin' }).click();
    await page.getByRole('menuitem', { name: w.switchRole }).click();
    await page.getByLabel(w.role, { exact: true }).fill('Nobody');
    await button(admin, w.switchRole).last().click();
    await says(admin, w.denied);
    await accessible(admin, 'switch role');
    await page.getByLabel(w.role, { exact: true }).fill(role);
    await button(admin, w.switchRole).last().click();
    await page.getByRole('button', { name: role }).waitFor();
    await open(admin, 'access/users');
    await says(admin, w.denied);
    await shot(admin, 'switched');
    await page.getByRole('button', { name: role }).click();
    await page.getByRole('menuitem', { name: w.back }).click();
    await page.getByRole('button', { name: role }).waitFor({ state: 'detached' });
    await open(admin, 'access/users');
    await page.getByRole('link', { name: user }).waitFor();
    await admin.context.close();
  });
}

await browser.close();
if (failures.length > 0) {
  console.log(`${failures.length} failures:`);
  for (const f of failures) console.log(`- ${f}`);
  process.exit(1);
}
