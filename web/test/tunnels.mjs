// Tunnels and the permissions of documents in a real Chromium, against a real server that
// records, with a node: what the page says to paste is run as it stands. It takes
//   URL, PASSWORD (of admin), NODE, SERVICE (a port there), SHOTS, CHROMIUM
// and LOGGED (the id of a session that is recorded and logged in BUCKET and GROUP) and
// UNRECORDED (that of one that is not)
// from the environment, with aws and sekisho in its PATH, and ends with the exit code 1 if
// anything is not as it must be.
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { api, button, check, everywhere, finish, limited, open, person, shot, story, url } from './browser.mjs';

const { PASSWORD: password, NODE: node, SERVICE: service, LOGGED: logged, BUCKET: bucket, GROUP: group, UNRECORDED: unrecorded } = process.env;

/** Runs a line of shell, in a group of its own, until it says something; gives that and how to end it. */
function run(line, said) {
  const child = spawn('/bin/sh', ['-c', line], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const ended = new Promise((done) => child.on('exit', done));
  const heard = new Promise((resolve, reject) => {
    const hear = (data) => {
      output += data;
      const found = said.exec(output);
      if (found) resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void ended.then(() => reject(new Error(`${line} ended: ${output}`)));
    setTimeout(() => reject(new Error(`${line} says nothing: ${output}`)), 60_000).unref();
  });
  return { heard, ended, end: () => process.kill(-child.pid, 'SIGTERM') };
}

/** Sends text to a local port and wants it back. */
const echoed = (port, text) =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let back = '';
    socket.on('data', (data) => {
      back += data;
      if (back.length >= text.length) {
        socket.destroy();
        resolve(back === text);
      }
    });
    socket.on('error', reject);
  });

const shown = async (page, title) => (await page.getByTestId(title).innerText()).split('\n').filter((l) => /^(aws|sekisho|ssh) [\x21-\x7e]/.test(l.trim()))[0];

/** All of it, in one language. The stories go on at once: they share nothing but the server. */
const everything = (language) => [
  story(`tunnels-${language}`, async () => {
    const admin = await person(language, 'admin', password);
    const { page, t } = admin;
    await open(admin, `fleet/${node}`);
    await button(admin, t('tunnels.start')).click();
    const port = page.getByLabel(new RegExp(`^${t('tunnels.port')}`));
    await port.fill('70000');
    await page.getByText(t('tunnels.pattern')).waitFor();
    await page.getByText(t('tunnels.incomplete')).waitFor();
    await port.fill(service);
    await page.getByTestId('aws').waitFor();
    await everywhere(admin, 'starttunnel');
    const lines = { aws: await shown(page, 'aws'), sekisho: await shown(page, 'ours') };
    check(lines.sekisho === `sekisho forward ${node} ${service}`, `our command: ${lines.sekisho}`);
    const tunnels = [];
    for (const line of Object.values(lines)) {
      const tunnel = run(line, /Port (\d+) opened for sessionId (\S+?)\.?\s/);
      const [, local, id] = await tunnel.heard;
      check(await echoed(Number(local), `through ${line}`), `nothing comes back through ${line}`);
      tunnels.push({ ...tunnel, id });
    }
    // With another document there are other fields.
    await page.getByLabel(t('start.document'), { exact: true }).click();
    await page.getByRole('option', { name: 'AWS-StartPortForwardingSessionToRemoteHost' }).click();
    await port.fill('5432');
    await page.getByLabel(new RegExp(`^${t('tunnels.host')}`)).fill('db.internal');
    await page.getByLabel(new RegExp(`^${t('tunnels.localport')}`)).fill('15432');
    await page.getByTestId('ours').waitFor();
    check((await shown(page, 'ours')) === `sekisho forward ${node} 15432:db.internal:5432`, `our command: ${await shown(page, 'ours')}`);
    await page.getByLabel(t('start.document'), { exact: true }).click();
    await page.getByRole('option', { name: 'AWS-StartSSHSession' }).click();
    await page.getByTestId('ssh').waitFor();
    check(/^ssh -o 'ProxyCommand=aws ssm start-session --target %h .*portNumber=%p' mi-/.test(await shown(page, 'ssh')), `ssh command: ${await shown(page, 'ssh')}`);

    // Those that run are shown with what they carry, and are ended from here.
    await open(admin, 'tunnels');
    for (const { id, ended } of tunnels) {
      const row = page.getByRole('row').filter({ hasText: id });
      await row.getByRole('radio').click();
      // The recorder brings them to its file each second.
      const begun = Date.now();
      while (!(await page.getByRole('heading', { name: t('rec.flows') }).count()) || (await page.getByText(t('rec.flows.empty')).count())) {
        await button(admin, t('common.refresh')).first().click();
        await page.waitForTimeout(200);
        if (Date.now() - begun > 60_000) throw new Error('no flows are shown');
      }
      const flow = page.getByRole('table', { name: t('rec.flows') }).getByRole('row').last();
      check(/\d/.test(await flow.getByRole('cell').last().locator('xpath=preceding-sibling::*[1]').innerText()), 'no bytes of the tunnel are shown');
      if (id === tunnels[0].id) await everywhere(admin, 'tunnels');
      await button(admin, t('sessions.terminate')).click();
      await page.getByTestId('confirm').click();
      await row.waitFor({ state: 'detached' });
      await ended;
    }

    // Who may not start a session reads what is missing.
    const other = await limited(admin, language, 'reader', [{ Effect: 'Allow', Action: ['ssm:Describe*', 'ssm:List*', 'ssm:GetDocument'], Resource: '*' }]);
    await open(other, `tunnels/start/${node}`);
    await other.page.getByText('ssm:StartSession', { exact: true }).waitFor();
    await other.page.getByText(new RegExp(`^arn:.*:managed-instance/${node}$`)).first().waitFor();
    await shot(other.page, `${language}-tunnels-refused`);
    await other.context.close();
    await admin.context.close();
  }),

  story(`permissions-${language}`, async () => {
    const admin = await person(language, 'admin', password);
    const { page, t } = admin;
    const name = `Shared-${language}`;
    await api(admin, 'ssm', 'CreateDocument', { Name: name, DocumentType: 'Session', Content: JSON.stringify({ schemaVersion: '1.0', description: '', sessionType: 'Standard_Stream', inputs: {} }) });
    await open(admin, `documents/${name}`);
    await page.getByText(t('share.empty')).waitFor();
    const account = page.getByLabel(t('share.account'), { exact: true });
    await account.fill('123');
    check(await button(admin, t('share.add')).getAttribute('aria-disabled') === 'true', 'three digits are an account');
    await account.fill('123456789012');
    await button(admin, t('share.add')).click();
    const row = page.getByRole('row').filter({ hasText: '123456789012' });
    await row.waitFor();
    const { AccountIds } = await api(admin, 'ssm', 'DescribeDocumentPermission', { Name: name, PermissionType: 'Share' });
    check(AccountIds.join() === '123456789012', `shared with ${AccountIds}`);
    // The service refuses both at once, in its own words.
    await account.fill('all');
    await button(admin, t('share.add')).click();
    await page.getByText(/Accounts can either be all or/).waitFor();
    await everywhere(admin, 'permissions');
    await row.getByRole('radio').click();
    await button(admin, t('share.remove')).click();
    await page.getByTestId('confirm').click();
    await page.getByText(t('share.empty')).waitFor();

    const other = await limited(admin, language, 'author', [{ Effect: 'Allow', Action: ['ssm:DescribeDocument', 'ssm:ListDocumentVersions', 'ssm:GetDocument'], Resource: '*' }]);
    await open(other, `documents/${name}`);
    await other.page.getByText('ssm:DescribeDocumentPermission', { exact: true }).waitFor();
    await other.page.getByText(new RegExp(`^arn:.*:document/${name}$`)).first().waitFor();
    await other.context.close();
    await admin.context.close();
  }),

  story(`links-${language}`, async () => {
    const admin = await person(language, 'admin', password);
    const { page, t } = admin;
    // From the history to the log of a session, in both places, and back to its recording.
    const { Sessions } = await api(admin, 'ssm', 'DescribeSessions', { State: 'History', Filters: [{ key: 'SessionId', value: logged }] });
    const { S3OutputUrl, CloudWatchOutputUrl } = Sessions[0].OutputUrl;
    await open(admin, 'sessions/history');
    const row = page.getByRole('row').filter({ hasText: logged });
    await row.getByRole('link', { name: t('sessions.output.logs') }).click();
    await page.getByRole('heading', { level: 1, name: logged }).waitFor();
    await page.getByTestId('events').getByText('logged-42').first().waitFor();
    await page.goto('about:blank');
    await page.goto(CloudWatchOutputUrl);
    await page.getByRole('heading', { level: 1, name: logged }).waitFor();
    await page.getByText(group).first().waitFor();
    await page.goto(S3OutputUrl);
    await page.getByRole('heading', { level: 1, name: `${logged}.log` }).waitFor();
    await page.getByText(bucket, { exact: true }).waitFor();
    check(page.url().startsWith(url), `the link leads to ${page.url()}`);
    await everywhere(admin, 'object');
    await page.getByRole('link', { name: t('object.recording') }).click();
    await page.getByRole('heading', { level: 1, name: t('rec.of', { id: logged }) }).waitFor();
    // The history links to the recordings that there are.
    await open(admin, 'sessions/history');
    const other = page.getByRole('row').filter({ hasText: unrecorded });
    await other.waitFor();
    check((await row.getByRole('link', { name: t('rec.one') }).count()) === 1, 'the recording of a session is not linked');
    check((await other.getByRole('link', { name: t('rec.one') }).count()) === 0, 'a session without recording is linked to one');
    await admin.context.close();
  }),
];

await Promise.all(['en', 'ja'].flatMap(everything));
await finish();
