/**
 * The documents against the commands: what is written down can be typed, and links lead somewhere.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { CLAIMS } from '../../scripts/prove/prove';

const INFRA = resolve(__dirname, '../..');
const DOCUMENTS = ['infra/README.md', 'docs/migration.md', 'TROUBLESHOOTING.md'];
const COMMANDS = ['wizard', 'token', 'end-to-end', 'doctor', 'prove', 'compare', 'offer-view', 'uninstall'];

const SCRIPTS = (
  JSON.parse(readFileSync(join(INFRA, 'package.json'), 'utf8')) as { scripts: Partial<Record<string, string>> }
).scripts;

// Each command loads its clients of AWS anew, three times, which is slow where other tests run beside it.
jest.setTimeout(240_000);

const read = (document: string): string => readFileSync(resolve(INFRA, '..', document), 'utf8');

/** Runs a command as a person does; it has no account, no region and nobody to ask. */
function type(command: string, ...words: string[]): { status: number | null; stdout: string; stderr: string } {
  const tsx = join(INFRA, 'node_modules', '.bin', 'tsx');
  const env = { PATH: process.env.PATH, AWS_EC2_METADATA_DISABLED: 'true' };
  return spawnSync(tsx, [join('scripts', `${command}.ts`), ...words], { cwd: INFRA, encoding: 'utf8', env });
}

/** Every `npm run NAME -- ...` of a document, continued lines joined. */
function typed(document: string): { command: string; options: string[] }[] {
  const text = read(document).replaceAll('\\\n', ' ');
  return [...text.matchAll(/npm run ([a-z-]+) --([^\n`#]*)/g)].map(([, command = '', rest = '']) => ({
    command,
    options: [...rest.matchAll(/ --([a-z-]+)/g)].map(([, option = '']) => option),
  }));
}

/** The name that a heading has in links. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replaceAll(' ', '-');

test.each(COMMANDS)(
  '%s: --help ends with 0; an option that is not there, or one that is missing, with 2',
  (command) => {
    const help = type(command, '--help');
    expect(help.status).toBe(0);
    expect(help.stdout).toContain(`npm run ${command}`);
    const wrong = type(command, '--enviroment', 'int');
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toMatch(/^error: Unknown option '--enviroment'/);
    expect(type(command).stderr).toMatch(/^error: --[a-z-]+ is missing: /);

    expect(SCRIPTS[command]).toBe(`tsx scripts/${command}.ts`);
    const options = DOCUMENTS.flatMap(typed).filter((each) => each.command === command);
    expect(options.length).toBeGreaterThan(0);
    for (const option of options.flatMap((each) => each.options)) expect(help.stdout).toContain(`--${option}`);
  },
);

test('documents name no other command, but for those that are cdk with an application', () => {
  const named = new Set(DOCUMENTS.flatMap(typed).map(({ command }) => command));
  const cdk = [...named].filter((command) => SCRIPTS[command]?.startsWith('cdk deploy '));
  expect(named).toEqual(new Set([...COMMANDS, ...cdk]));
});

test('what is said to be for an account to show is what `prove` shows', () => {
  const rows = [...read('infra/README.md').matchAll(/^\| `([a-z-]+)` \| /gm)].map(([, name]) => name);
  expect(rows).toEqual(CLAIMS.map(({ name }) => name));
});

test.each(DOCUMENTS)('%s: its links lead somewhere', (document) => {
  for (const [, link = ''] of read(document).matchAll(/\]\(([^)\s]+)\)/g)) {
    const [path = '', fragment] = link.split('#');
    const target = path === '' ? document : join(dirname(document), path);
    expect([link, existsSync(resolve(INFRA, '..', target))]).toEqual([link, true]);
    if (fragment === undefined) continue;
    const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));
    expect(headings).toContain(fragment);
  }
});
