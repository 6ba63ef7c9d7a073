// Recordings, the live view and logs in a real Chromium, against a real server that records,
// with a node. It takes
//   URL, PASSWORD (of admin), NODE, SHOTS (a folder for screenshots), CHROMIUM
// from the environment and ends with the exit code 1 if anything is not as it must be.
import { accessible, api, button, check, everywhere, finish, open, person, shot, shows, story } from './browser.mjs';

const { PASSWORD: password, NODE: node } = process.env;
const danger = '<img src=x onerror="window.attacked=1">';

/** All of it, in one language. The stories go on at once: they share nothing but the server. */
const everything = (language) => [
  story(`recordings-${language}`, async () => {
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
  }),

  story(`logs-${language}`, async () => {
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
  }),
];

await Promise.all(['en', 'ja'].flatMap(everything));
await finish();
