/**
 * An MQTT broker that takes only clients with a certificate, as AWS IoT does: mosquitto, if it is installed.
 *
 * Its own certificate is signed by an authority made for it. A second listener, without TLS, is for who hears in the
 * test what devices publish, as an IoT rule does.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { waitFor } from '../scripts/waiting';
import { freePort } from './free-port';

const MOSQUITTO = ['/usr/sbin/mosquitto', 'mosquitto'].find((name) => spawnSync(name, ['-h']).error === undefined);

/** `describe`, or `describe.skip` where there is no broker to start. */
export function describeWithBroker(name: string, body: () => void): void {
  if (MOSQUITTO === undefined) describe.skip(`${name} (no mosquitto: run \`make debian\`)`, body);
  else describe(name, body);
}

/** A key and its certificate, as PEM. */
export interface Identity {
  readonly key: string;
  readonly certificate: string;
}

/** Signs certificates, in a folder of its own, which `remove` takes away. */
export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'iotlake-broker-'));

  constructor() {
    const named = ['-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca', '-days', '2'];
    this.openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...named);
  }

  /** What those who trust this authority have to know. */
  get certificate(): string {
    return this.read('ca.pem');
  }

  /** A certificate for a server of this name, or a client. */
  issue(name: string): Identity {
    const file = (ending: string): string => `${name}.${ending}`;
    const request = ['-keyout', file('key'), '-out', file('csr'), '-subj', `/CN=${name.slice(0, 64)}`];
    this.openssl('req', '-newkey', 'rsa:2048', '-nodes', ...request);
    writeFileSync(join(this.folder, file('san')), `subjectAltName=DNS:${name},IP:127.0.0.1`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', file('san')];
    this.openssl('x509', '-req', '-in', file('csr'), '-out', file('pem'), ...signed);
    return { key: this.read(file('key')), certificate: this.read(file('pem')) };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private openssl(...words: string[]): void {
    execFileSync('openssl', words, { cwd: this.folder, stdio: 'ignore' });
  }

  private read(name: string): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }
}

/** A broker that runs. */
export class Broker {
  private constructor(
    /** Where clients with a certificate connect. */
    readonly port: number,
    /** Where the test hears what they publish. */
    readonly plainPort: number,
    private readonly folder: string,
    private readonly process: ChildProcess,
  ) {}

  /** Starts a broker whose name is `server`; it lets in whom the authority with the certificate `trusted` has signed. */
  static async start(authority: Authority, server: string, trusted: string): Promise<Broker> {
    const { folder } = authority;
    const [port, plainPort] = [await freePort(), await freePort()];
    const { key, certificate } = authority.issue(server);
    const put = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const configuration = [
      'per_listener_settings true',
      `listener ${port} 127.0.0.1`,
      `cafile ${put('trusted.pem', trusted)}`,
      `certfile ${put('server.pem', certificate)}`,
      `keyfile ${put('server.key', key)}`,
      'require_certificate true',
      'allow_anonymous true',
      `listener ${plainPort} 127.0.0.1`,
      'allow_anonymous true',
      `user ${process.env.USER ?? 'root'}`,
      'log_type all',
      `log_dest file ${join(folder, 'broker.log')}`,
    ];
    const path = put('mosquitto.conf', configuration.join('\n'));
    const broker = spawn(MOSQUITTO ?? '', ['-c', path], { stdio: 'ignore' });
    const isUp = await waitFor({ every: 50, atMost: 10_000 }, () => listens(port));
    if (isUp === undefined) throw new Error('mosquitto did not start');
    return new Broker(port, plainPort, folder, broker);
  }

  /** What it wrote until now. */
  get log(): string {
    return readFileSync(join(this.folder, 'broker.log'), 'utf8');
  }

  async stop(): Promise<void> {
    const exit = new Promise((done) => this.process.once('exit', done));
    this.process.kill();
    await exit;
  }
}

async function listens(port: number): Promise<true | undefined> {
  return new Promise((answer) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), answer(true)));
    socket.once('error', () => answer(undefined));
  });
}
