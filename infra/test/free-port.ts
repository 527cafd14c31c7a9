/**
 * A port of the loopback interface for a server that a test starts.
 *
 * It lies below the range from which systems take ports for connections that go out, and each worker of Jest has a
 * stretch of its own, so that nobody else takes it between this answer and the server's start. Rust's tests take theirs
 * from 20,000 upwards.
 */
import { createServer } from 'node:net';

const FIRST = 10_000;
const EACH = 500;
const WORKERS = 20;

let next = Math.floor(Math.random() * EACH);

export async function freePort(): Promise<number> {
  const worker = Number(process.env.JEST_WORKER_ID ?? '1') % WORKERS;
  for (let tries = 0; tries < EACH; tries++) {
    const port = FIRST + worker * EACH + next;
    next = (next + 1) % EACH;
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((answer) => {
    server.once('error', () => answer(false));
    server.listen(port, '127.0.0.1', () => answer(true));
  });
  if (listens) await new Promise((closed) => server.close(closed));
  return listens;
}
