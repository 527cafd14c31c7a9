/**
 * The end-to-end test itself: against a token endpoint and an API that answer as the deployed ones do, and an MQTT
 * broker, if mosquitto is installed, that takes only clients with a certificate.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';

import { endToEnd, type Target } from '../../scripts/end-to-end/run';
import { Authority, Broker, describeWithBroker, type Identity } from '../broker';
import { startTokenEndpoint, type TokenEndpoint } from '../token-endpoint';

jest.setTimeout(60_000);

describeWithBroker('end-to-end', () => {
  let authority: Authority;
  let device: Identity;
  const seen: string[] = [];
  let deviceId = 'thing-id-1';
  let broker: Broker;
  let tokens: TokenEndpoint;
  let target: Target;

  const api = createServer((request: IncomingMessage, response) => {
    const { method = '', url = '' } = request;
    seen.push(`${method} ${url.replace(/\?.*/, '')}`);
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.statusCode = request.headers.authorization === 'Bearer token' ? 200 : 401;
    const isGone = method === 'DELETE';
    const certificatePem = isGone ? '' : device.certificate;
    const privateKey = isGone ? '' : device.key;
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
    authority = new Authority();
    device = authority.issue('device');
    broker = await Broker.start(authority, 'localhost', authority.certificate);
    await new Promise<void>((done) => api.listen(0, '127.0.0.1', done));
    tokens = await startTokenEndpoint({
      client: async (id) =>
        Promise.resolve(
          id === 'client' ? { AllowedOAuthFlowsUserPoolClient: true, AllowedOAuthFlows: ['code'] } : undefined,
        ),
      refresh: async (_, token) => {
        seen.push('refresh');
        return Promise.resolve(
          token === 'refresh-me' ? { accessToken: 'token', issued: Date.now() / 1_000 } : undefined,
        );
      },
    });
    const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}/`;
    target = {
      tokenEndpoint: tokens.url,
      api: url,
      clientId: 'client',
      refreshToken: 'refresh-me',
      serial: 'DEV_00000001',
      topic: 'data/test',
      broker: { port: broker.port, ca: authority.certificate },
    };
  });

  afterAll(async () => {
    await tokens.stop();
    await broker.stop();
    authority.remove();
    await new Promise((closed) => {
      api.close(closed);
      api.closeAllConnections();
    });
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
    expect(seen).toEqual(['refresh', `POST ${path}`, `GET ${path}`, `DELETE ${path}`]);
    expect(said).toHaveLength(6);
    expect(looked).toEqual([expect.stringMatching(/^end-to-end-\d+$/)]);
    expect(broker.log).toMatch(/Received PUBLISH from DEV_00000001 .*'data\/test'/);
  });

  test('a broker that refuses the device at first is asked again', async () => {
    const said: string[] = [];
    let asked = 0;
    const lookup: LookupFunction = (_, options, found) => {
      asked += 1;
      if (asked < 3) found(new Error('not yet'), '');
      else if (options.all === true) found(null, [{ address: '127.0.0.1', family: 4 }]);
      else found(null, '127.0.0.1', 4);
    };
    const reached = { port: broker.port, ca: authority.certificate, lookup };
    const patience = { every: 20, atMost: 30_000 };
    await endToEnd({ ...target, broker: reached, patience }, (line) => said.push(line));
    expect(asked).toBe(3);
    expect(said.filter((line) => line.startsWith('the broker refuses the device (not yet)'))).toHaveLength(1);
    const impatient = { ...target, broker: { ...reached, port: 1 }, patience: { every: 20, atMost: 0 } };
    await expect(endToEnd(impatient, () => undefined)).rejects.toThrow(/ECONNREFUSED/);
  });

  test('a token that is refused is told, and no device is touched', async () => {
    await expect(endToEnd({ ...target, refreshToken: 'old' }, () => undefined)).rejects.toThrow(
      'the token endpoint answers 400 invalid_grant',
    );
    expect(seen).toEqual(['refresh']);
  });

  test('a client that is of another environment is told', async () => {
    await expect(endToEnd({ ...target, clientId: 'other' }, () => undefined)).rejects.toThrow(
      'the token endpoint answers 400 invalid_client',
    );
    expect(seen).toEqual([]);
  });

  test('the device goes also if something failed before', async () => {
    deviceId = '';
    await expect(endToEnd(target, () => undefined)).rejects.toThrow('POST answers without a thingId');
    expect(seen.at(-1)).toBe('DELETE /api/onboard/DEV_00000001');
  });
});
