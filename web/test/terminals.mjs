// Terminals in a real Chromium, against a real server and node: several in the dock, what
// one does with a terminal, and sessions that are encrypted under a KMS key. It takes
//   URL, PASSWORD (of admin), NODE, KEY (ARN), DOCUMENT (that names the key), SHOTS, CHROMIUM
// from the environment and ends with the exit code 1 if anything is not as it must be.

// One after the other: the pages come by the wire.
const { cut, mend } = await import('./wire.mjs');
const { accessible, api, button, check, everywhere, finish, limited, open, person, shot, shows, story } = await import('./browser.mjs');

const { PASSWORD: password, NODE: node, KEY: key, DOCUMENT: document_ } = process.env;

const type = (page, line) => page.keyboard.type(`${line}\n`);
const prompt = '[#$>] ?$';
const tab = ({ page }, id) => page.getByRole('tab', { name: id, exact: true });

async function startBelow(who, known = []) {
  await open(who, `sessions/start/${node}`);
  await button(who, who.t('dock.start')).click();
  await who.page.waitForFunction((n) => document.querySelectorAll('.dock-tabs [role=tab]').length === n, known.length + 1);
  const ids = await who.page.locator('.dock-tabs [role=tab]').allInnerTexts();
  await shows(who.page, 'terminal', prompt);
  return ids.find((id) => !known.includes(id));
}

/** Several terminals below the pages. */
async function docked(admin) {
  const { page, t, language } = admin;
  await story(`dock-${language}`, async () => {
    const one = await startBelow(admin);
    await type(page, 'X=first; echo one-$((40+2))');
    await shows(page, 'terminal', '^one-42$');
    const two = await startBelow(admin, [one]);
    await type(page, 'X=second; echo two-$((40+2))');
    await shows(page, 'terminal', '^two-42$');

    // One goes from terminal to terminal and from page to page: both go on.
    await tab(admin, one).click();
    await type(page, 'echo this-is-$X');
    await shows(page, 'terminal', '^this-is-first$');
    await open(admin, 'fleet');
    await tab(admin, one).focus();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('tabpanel', { name: two }).waitFor();
    await page.getByRole('tabpanel', { name: two }).getByRole('textbox', { name: t('terminal.label') }).focus();
    await type(page, 'echo this-is-$X');
    await shows(page, 'terminal', '^this-is-second$');
    await everywhere(admin, 'dock');
    await button(admin, t('dock.minimise')).click();
    check((await page.getByTestId('terminal').filter({ visible: true }).count()) === 0, 'a terminal is shown in the minimised dock');
    await accessible(page, `${language} minimised`);
    await button(admin, t('dock.restore')).click();
    await button(admin, t('dock.taller')).click();
    await page.getByRole('tabpanel', { name: two }).getByRole('textbox', { name: t('terminal.label') }).focus();
    await type(page, 'echo still-$X');
    await shows(page, 'terminal', '^still-second$');

    // The page that is loaded again has them again, connected by itself.
    await page.reload();
    await page.getByTestId('dock').getByText(t('terminal.connected')).filter({ visible: true }).waitFor();
    await page.getByRole('tabpanel', { name: two }).getByRole('textbox', { name: t('terminal.label') }).focus();
    await type(page, 'echo again-$X');
    await shows(page, 'terminal', '^again-second$');
    await tab(admin, one).click();
    await type(page, 'echo again-$X');
    await shows(page, 'terminal', '^again-first$');

    // To a tab of its own, and out of the dock: the sessions stay.
    const [own] = await Promise.all([admin.context.waitForEvent('page'), button(admin, t('dock.tab')).click()]);
    await own.getByText(t('terminal.connected')).waitFor();
    await own.keyboard.type('echo own-$X\n');
    await shows(own, 'terminal', '^own-first$');
    check((await own.getByTestId('dock').count()) === 0, 'the new tab has a dock');
    await own.close();
    await button(admin, t('dock.close')).click();
    await page.getByTestId('dock').waitFor({ state: 'detached' });
    await open(admin, 'sessions');
    await page.getByRole('row').filter({ hasText: two }).getByRole('radio').click();
    await button(admin, t('dock.resume')).click();
    await page.getByTestId('dock').getByText(t('terminal.connected')).filter({ visible: true }).waitFor();
    await type(page, 'echo resumed-$X');
    await shows(page, 'terminal', '^resumed-second$');
    for (const id of [one, two]) await api(admin, 'ssm', 'TerminateSession', { SessionId: id });
    await page.getByTestId('dock').getByText(t('terminal.ended')).waitFor();
    await button(admin, t('dock.close')).click();
  });
}

/** What one does with a terminal. The clipboard is one for all, so that this is for one at a time. */
async function used(admin) {
  const { t, language } = admin;
  await story(`terminal-${language}`, async () => {
    await open(admin, `sessions/start/${node}`);
    const [own] = await Promise.all([admin.context.waitForEvent('page'), button(admin, t('sessions.start')).click()]);
    await shows(own, 'terminal', prompt);

    // 10,000 lines are pasted and copied.
    const lines = Array.from({ length: 10_000 }, (_, i) => `line ${i} 関所`);
    await own.evaluate((all) => navigator.clipboard.writeText(all), `${lines.join('\n')}\n`);
    await own.keyboard.type('stty -echo; echo rea""dy; cat > /tmp/pasted-$$; wc -l < /tmp/pasted-$$; md5sum < /tmp/pasted-$$; rm /tmp/pasted-$$; stty echo\n');
    await shows(own, 'terminal', '^ready$');
    const pasted = own.evaluate(() => new Promise((done) => addEventListener('paste', () => done(), { once: true, capture: true })));
    await own.evaluate(() => 0); // the page listens
    await own.keyboard.press('Control+Shift+V');
    await pasted;
    await own.keyboard.press('Control+D');
    await shows(own, 'terminal', '^10000$');
    const { createHash } = await import('node:crypto');
    await shows(own, 'terminal', `^${createHash('md5').update(`${lines.join('\n')}\n`).digest('hex')}  -$`);
    await own.keyboard.type('seq -f "copied %.0f" 10000; echo do""ne\n');
    await shows(own, 'terminal', '^done$');
    await own.keyboard.press('Control+Shift+A');
    await own.keyboard.press('Control+Shift+C');
    await own.waitForFunction(async () => {
      const copied = (await navigator.clipboard.readText()).split('\n').filter((l) => /^copied \d+$/.test(l.trim()));
      return copied.length === 10_000 && copied[9999].trim() === 'copied 10000';
    });

    // It reconnects by itself; what was typed meanwhile is not lost.
    cut();
    await own.getByText(t('terminal.reconnecting')).waitFor();
    await own.keyboard.type('clear; echo typed-while-$((40+2))\n');
    mend();
    await shows(own, 'terminal', '^typed-while-42$');
    await own.getByText(t('terminal.connected')).waitFor();

    // Japanese by an input method; what is wide is two columns wide.
    const devtools = await admin.context.newCDPSession(own);
    await own.keyboard.type('clear; echo typed-');
    for (const word of ['せ', 'せき', 'せきしょ', '関所']) {
      await devtools.send('Input.imeSetComposition', { text: word, selectionStart: word.length, selectionEnd: word.length });
    }
    await devtools.send('Input.insertText', { text: '関所' });
    await shows(own, 'terminal', 'echo typed-関所');
    await own.keyboard.type('\n');
    await shows(own, 'terminal', '^typed-関所$');
    await own.keyboard.type(`bash -c 'printf "関所\\360\\237\\215\\243e\\033[6n"; read -rsd R p; echo; echo "column-\${p##*;}"'\n`);
    await shows(own, 'terminal', '^column-8$');

    // Search, size of the letters, and for screen readers.
    await own.keyboard.type('clear; for i in 1 2 3; do echo need""le; done\n');
    await shows(own, 'terminal', '^needle$');
    await own.getByLabel(t('terminal.find')).fill('needle');
    await own.getByText(/^\d\/3$/).waitFor();
    await own.keyboard.press('Enter');
    await own.keyboard.press('Shift+Enter');
    await own.getByText(/^\d\/3$/).waitFor();
    await own.getByLabel(t('terminal.find')).fill('nothing like it');
    await own.getByText(t('common.nomatch')).waitFor();
    await own.getByLabel(t('terminal.find')).fill('');
    for (let i = 0; i < 6; i++) await own.getByRole('button', { name: t('terminal.bigger') }).click();
    await own.getByRole('textbox', { name: t('terminal.label') }).focus();
    await own.keyboard.type('clear; echo "columns-$(stty size)"\n');
    await shows(own, 'terminal', '^columns-\\d+ (1[01]\\d|\\d\\d)$');
    await own.getByText(t('terminal.reader')).click();
    await own.locator('.xterm-accessibility').waitFor({ state: 'attached' });
    await own.waitForFunction(() => /columns-/.test(document.querySelector('.xterm-accessibility').textContent));
    for (const colorScheme of ['light', 'dark']) {
      await own.emulateMedia({ colorScheme });
      await accessible(own, `${language} ${colorScheme} reader`);
    }
    await shot(own, `${language}-reader`);
    await button({ page: own }, t('terminal.terminate')).click();
    await own.getByTestId('confirm').click();
    await own.getByText(t('terminal.ended')).waitFor();
    await own.close();
  });
}

/** Sessions under a KMS key. */
async function encrypted(admin) {
  const { page, t, language } = admin;
  await story(`encrypted-${language}`, async () => {
    const begin = async (who) => {
      await open(who, `sessions/start/${node}`);
      await who.page.getByLabel(t('start.document'), { exact: true }).click();
      await who.page.getByRole('option', { name: document_ }).click();
      const [own] = await Promise.all([who.context.waitForEvent('page'), button(who, t('sessions.start')).click()]);
      return own;
    };
    const own = await begin(admin);
    await own.getByText(t('terminal.encrypted'), { exact: true }).waitFor();
    await shows(own, 'terminal', prompt);
    await own.keyboard.type('X=sec""ret; echo se""aled-$((40+2))-関所\n');
    await shows(own, 'terminal', '^sealed-42-関所$');
    for (const colorScheme of ['light', 'dark']) {
      await own.emulateMedia({ colorScheme });
      await accessible(own, `${language} ${colorScheme} encrypted`);
    }
    await shot(own, `${language}-encrypted`);
    // The keys cannot be read out of the page, and outlive it.
    const keys = await own.evaluate(
      () =>
        new Promise((resolve) => {
          indexedDB.open('sekisho', 1).onsuccess = (e) => {
            const db = e.target.result;
            db.transaction('keys').objectStore('keys').getAll().onsuccess = async (all) => {
              db.close();
              const list = all.target.result.flatMap((k) => [k.node, k.ours]);
              const read = await Promise.allSettled(list.map((k) => crypto.subtle.exportKey('raw', k)));
              resolve({ count: list.length, read: read.filter((r) => r.status === 'fulfilled').length });
            };
          };
        }),
    );
    check(keys.count === 2 && keys.read === 0, `keys: ${JSON.stringify(keys)}`);
    await own.reload();
    await own.getByText(t('terminal.encrypted'), { exact: true }).waitFor();
    await own.getByText(t('terminal.connected')).waitFor();
    await own.keyboard.type('echo after-$X\n');
    await shows(own, 'terminal', '^after-secret$');
    const id = decodeURIComponent(own.url().split('/').at(-1));
    await own.keyboard.type('exit\n');
    await own.getByText(t('terminal.ended')).waitFor();
    await own.close();

    // Its recording is opened for who may decrypt.
    await open(admin, `recordings/${id}`);
    await page.getByRole('table').filter({ hasText: 'sealed-42-関所' }).waitFor();
    await page.getByText(key).first().waitFor();

    // Who may not make a data key gets no session, and reads what is missing.
    const other = await limited(admin, language, 'keyless', [{ Effect: 'Allow', Action: ['ssm:*', 'sekisho:*'], Resource: '*' }]);
    const refused = await begin(other);
    await refused.getByText(t('error.denied')).waitFor();
    await refused.getByText('kms:GenerateDataKey', { exact: true }).waitFor();
    await refused.getByText(t('terminal.encrypted.hint')).waitFor();
    await refused.getByText(key, { exact: true }).waitFor();
    await accessible(refused, `${language} refused`);
    await shot(refused, `${language}-encryption-refused`);
    await other.context.close();
  });
}

const admins = [await person('en', 'admin', password), await person('ja', 'admin', password)];
await Promise.all(
  admins.map(async (admin) => {
    await docked(admin);
    await encrypted(admin);
  }),
);
for (const admin of admins) await used(admin);
await finish();
