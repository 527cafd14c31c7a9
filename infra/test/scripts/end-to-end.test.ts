/**
 * The end-to-end test itself: against a token endpoint and an API that answer as the deployed ones do, and an MQTT
 * broker, if mosquitto is installed, that takes only clients with a certificate.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { endToEnd, type Target } from '../../scripts/end-to-end/run';
import { waitFor } from '../../scripts/waiting';

const MOSQUITTO = ['/usr/sbin/mosquitto', 'mosquitto'].find((name) => spawnSync(name, ['-h']).error === undefined);
const describeWithBroker =
  MOSQUITTO === undefined
    ? (name: string, body: () => void) => describe.skip(`${name} (mosquitto is not installed)`, body)
    : describe;

jest.setTimeout(60_000);

describeWithBroker('end-to-end', () => {
  const folder = mkdtempSync(join(tmpdir(), 'iotlake-end-to-end-'));
  const file = (name: string): string => join(folder, name);
  const openssl = (...words: string[]): void => void execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' });
  const seen: string[] = [];
  let deviceId = 'thing-id-1';
  let broker: ReturnType<typeof spawn>;
  let target: Target;

  const api = createServer((request: IncomingMessage, response) => {
    const { method = '', url = '' } = request;
    seen.push(`${method} ${url.replace(/\?.*/, '')}`);
    request.resume();
    response.setHeader('content-type', 'application/json');
    if (url.startsWith('/oauth2/token')) {
      const query = new URL(url, 'http://x').searchParams;
      const isRight = query.get('grant_type') === 'refresh_token' && query.get('refresh_token') === 'refresh-me';
      response.statusCode = isRight ? 200 : 400;
      response.end(JSON.stringify(isRight ? { access_token: 'token' } : { error: 'invalid_grant' }));
      return;
    }
    response.statusCode = request.headers.authorization === 'Bearer token' ? 200 : 401;
    const isGone = method === 'DELETE';
    const certificatePem = isGone ? '' : readFileSync(file('device.pem'), 'utf8');
    const privateKey = isGone ? '' : readFileSync(file('device.key'), 'utf8');
    response.end(
      JSON.stringify({
        serialNumber: isGone ? '' : 'DEV_00000001',
        thingId: isGone ? '' : deviceId,
        credential: { certificatePem, privateKey },
        mqttEndpoint: isGone ? '' : 'localhost',
        error: { code: '', msg: '', type: '' },
      }),
    );
  });

  beforeAll(async () => {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-subj',
      '/CN=ca',
      '-days',
      '2',
    );
    writeFileSync(file('san'), 'subjectAltName=DNS:localhost,IP:127.0.0.1');
    for (const name of ['localhost', 'device']) {
      openssl(
        'req',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
        '-subj',
        `/CN=${name}`,
      );
      openssl(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        'ca.pem',
        '-CAkey',
        'ca.key',
        '-CAcreateserial',
        '-out',
        `${name}.pem`,
        '-days',
        '2',
        '-extfile',
        'san',
      );
    }
    const port = await freePort();
    writeFileSync(
      file('mosquitto.conf'),
      [
        `listener ${port} 127.0.0.1`,
        `cafile ${file('ca.pem')}`,
        `certfile ${file('localhost.pem')}`,
        `keyfile ${file('localhost.key')}`,
        'require_certificate true',
        'allow_anonymous true',
        `user ${process.env.USER ?? 'root'}`,
        'log_type all',
        `log_dest file ${file('broker.log')}`,
      ].join('\n'),
    );
    broker = spawn(MOSQUITTO ?? '', ['-c', file('mosquitto.conf')], { stdio: 'ignore' });
    expect(await waitFor({ every: 50, atMost: 10_000 }, () => listens(port))).toBe(true);
    await new Promise<void>((done) => api.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}/`;
    target = {
      tokenEndpoint: `${url}oauth2/token`,
      api: url,
      clientId: 'client',
      refreshToken: 'refresh-me',
      serial: 'DEV_00000001',
      topic: 'data/test',
      broker: { port, ca: readFileSync(file('ca.pem'), 'utf8') },
    };
  });

  afterAll(async () => {
    const exit = new Promise((done) => broker.once('exit', done));
    broker.kill();
    await exit;
    await new Promise((closed) => {
      api.close(closed);
      api.closeAllConnections();
    });
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    seen.length = 0;
    deviceId = 'thing-id-1';
  });

  test('token, POST, GET, a message over mutual TLS, the row, DELETE', async () => {
    const said: string[] = [];
    const looked: string[] = [];
    const arrived = (id: string): Promise<void> => Promise.resolve(void looked.push(id));
    await endToEnd({ ...target, arrived }, (line) => said.push(line));
    const path = '/api/onboard/DEV_00000001';
    expect(seen).toEqual(['POST /oauth2/token', `POST ${path}`, `GET ${path}`, `DELETE ${path}`]);
    expect(said).toHaveLength(6);
    expect(looked).toEqual([expect.stringMatching(/^end-to-end-\d+$/)]);
    expect(readFileSync(file('broker.log'), 'utf8')).toMatch(/Received PUBLISH from DEV_00000001 .*'data\/test'/);
  });

  test('a token that is refused is told, and no device is touched', async () => {
    await expect(endToEnd({ ...target, refreshToken: 'old' }, () => undefined)).rejects.toThrow(
      'the token endpoint answers 400 invalid_grant',
    );
    expect(seen).toEqual(['POST /oauth2/token']);
  });

  test('the device goes also if something failed before', async () => {
    deviceId = '';
    await expect(endToEnd(target, () => undefined)).rejects.toThrow('POST answers without a thingId');
    expect(seen.at(-1)).toBe('DELETE /api/onboard/DEV_00000001');
  });
});

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

async function listens(port: number): Promise<true | undefined> {
  return new Promise((answer) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), answer(true)));
    socket.once('error', () => answer(undefined));
  });
}
