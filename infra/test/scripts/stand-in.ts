/**
 * A server that stands in for AWS, started for one file of tests and ended with it.
 *
 * It is ministack, from the virtual environment that `make venv` makes; `IOTLAKE_VENV` names another one. Without
 * either the tests that need it are skipped, and say so.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { waitFor } from '../../scripts/waiting';
import { freePort } from '../free-port';
import { Recorder } from '../permissions/recorder';

const VENV = process.env.IOTLAKE_VENV ?? resolve(__dirname, '../../../.venv-aws');

/** Python of the virtual environment, which also has pyarrow. */
export const PYTHON = join(VENV, 'bin', 'python');

/** Whether there is a server to start. */
export const HAS_SERVER = existsSync(join(VENV, 'bin', 'ministack'));

/** `describe`, or `describe.skip` where there is no server to start. */
export function describeWithServer(name: string, body: () => void): void {
  if (HAS_SERVER) describe(name, body);
  else describe.skip(`${name} (no server: run \`make venv\`)`, body);
}

/** A server that runs. */
export interface StandIn {
  readonly url: string;
  /** What its functions asked for, if that is recorded. */
  readonly recorder?: Recorder;
  stop(): Promise<void>;
}

/** Starts a server and points this process's clients of AWS to it. What its functions ask of it can be recorded. */
export async function start(records = false): Promise<StandIn> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const folder = mkdtempSync(join(tmpdir(), 'iotlake-stand-in-'));
  Object.assign(process.env, {
    AWS_ENDPOINT_URL: url,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  });
  const recorder = records ? await Recorder.start(new URL(url)) : undefined;
  const server = spawn(join(VENV, 'bin', 'ministack'), [], {
    cwd: folder,
    env: {
      // Its functions inherit them, and refuse variables that they do not know.
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('IOTLAKE_'))),
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      MINISTACK_ACCOUNT_ID: '123456789012',
      MINISTACK_REGION: 'eu-west-1',
      SFTP_ENABLED: '0',
      IOT_MTLS_ENABLED: '0',
      ATHENA_ENGINE: 'duckdb',
      // Its functions get it.
      AWS_ENDPOINT_URL: recorder?.url ?? url,
      // Lambda's runtime brings AWS's clients with it.
      NODE_PATH: resolve(__dirname, '../../node_modules'),
    },
    stdio: 'ignore',
  });
  const healthy = await waitFor({ every: 100, atMost: 60_000 }, async () => {
    try {
      return (await fetch(`${url}/_ministack/health`)).ok ? true : undefined;
    } catch {
      return undefined;
    }
  });
  if (healthy === undefined) throw new Error('ministack did not start');
  return {
    url,
    ...(recorder === undefined ? {} : { recorder }),
    async stop() {
      await ended(server);
      await recorder?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function ended(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return;
  const exit = new Promise((done) => server.once('exit', done));
  server.kill();
  await exit;
}
