/**
 * `.ci/lambda` makes zips for the targets that the toolchain has: on an ARM machine without the other one those for arm64
 * alone. The build itself is stood in for; what is looked at is what it is asked for.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

const script = path.join(__dirname, '..', '..', '..', '.ci', 'lambda');

let folder: string;
beforeEach(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), 'iotlake-zips-'))));
afterEach(() => fs.rmSync(folder, { recursive: true }));

/** Runs a copy of it, so that nothing lands in the repository, with a toolchain that has these targets. */
function run(...targets: string[]): { status: number | null; asked: string; stderr: string } {
  const program = (name: string, text: string): void => {
    const file = path.join(folder, 'bin', name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, `#!/usr/bin/env bash\n${text}\n`, { mode: 0o755 });
  };
  for (const target of targets) fs.mkdirSync(path.join(folder, 'lib/rustlib', target, 'lib'), { recursive: true });
  program('rustc', `echo ${folder}`);
  program('cargo-lambda', `echo "$@" >> ${folder}/asked; exit 1`);
  fs.mkdirSync(path.join(folder, '.ci'));
  fs.copyFileSync(script, path.join(folder, '.ci', 'lambda'));
  const env = { PATH: `${path.join(folder, 'bin')}:${process.env.PATH}`, RUSTC: path.join(folder, 'bin', 'rustc') };
  const { status, stderr } = spawnSync('bash', [path.join(folder, '.ci', 'lambda')], { encoding: 'utf8', env });
  const asked = path.join(folder, 'asked');
  return { status, stderr, asked: fs.existsSync(asked) ? fs.readFileSync(asked, 'utf8') : '' };
}

test('an ARM machine without the other target makes the zips that are deployed', () => {
  const { asked, stderr } = run('aarch64-unknown-linux-gnu');
  expect(asked).toContain('--target aarch64-unknown-linux-gnu.2.34');
  expect(asked).not.toContain('x86_64');
  expect(stderr).toContain('rustup target add x86_64-unknown-linux-gnu');
});

test('one for x86-64 makes its own, and a toolchain without either fails', () => {
  expect(run('x86_64-unknown-linux-gnu').asked).toContain('--target x86_64-unknown-linux-gnu.2.34');
  fs.rmSync(folder, { recursive: true });
  fs.mkdirSync(folder);
  const neither = run();
  expect([neither.status, neither.asked]).toEqual([1, '']);
});
