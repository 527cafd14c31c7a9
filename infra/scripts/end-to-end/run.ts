/**
 * The quickstart's end-to-end test against a deployed environment: a token, a device, a message, and the device gone.
 *
 * In come the addresses and the refresh token that a deployment hands over; out goes a line for each step that held, or
 * a failure with what was answered instead. The device is removed whatever happens.
 */
import type { LookupFunction } from 'node:net';

import { connectAsync } from 'mqtt';

import { Failure, messageOf } from '../arguments';
import { waitFor, type Patience } from '../waiting';

/** What is tested. */
export interface Target {
  /** The token endpoint, the API's address (it ends in `/`), the client and its refresh token. */
  readonly tokenEndpoint: string;
  readonly api: string;
  readonly clientId: string;
  readonly refreshToken: string;
  readonly serial: string;
  readonly topic: string;
  /** What the message calls its device; a name with the time, if it is not given. */
  readonly deviceId?: string;
  /** Port and certificate authority of the broker, and where its name leads, where it is not AWS IoT itself. */
  readonly broker?: { readonly port: number; readonly ca: string; readonly lookup?: LookupFunction };
  /** How long the broker may refuse the device: IoT Core caches policies, and says that it may take 6 to 8 minutes. */
  readonly patience?: Patience;
  /** Waits until the message is in the lake, given what to look for. */
  readonly arrived?: (deviceId: string) => Promise<void>;
}

/** An answer of the onboarding API, as far as it is looked at. */
interface Envelope {
  readonly thingId: string;
  readonly credential: { readonly certificatePem: string; readonly privateKey: string };
  readonly mqttEndpoint: string;
  readonly error: { readonly code: string; readonly msg: string };
}

const PATIENCE: Patience = { every: 10_000, atMost: 600_000 };

/** A topic that a filter matches, for a message of one's own: `plant/+/data/#` takes `plant/test/data/test`. */
export function topicUnder(filter: string): string {
  return filter.replace(/[+#]/g, 'test');
}

/** Runs all steps. */
export async function endToEnd(target: Target, say: (line: string) => void): Promise<void> {
  const token = await accessToken(target);
  say('the refresh token gives an access token');
  let failure: unknown;
  try {
    await useDevice(target, token, say);
  } catch (error) {
    failure = error;
  }
  try {
    const deleted = await call(target, token, 'DELETE');
    expectThat(deleted.thingId === '', 'DELETE answers with a thingId');
    say('DELETE removes the device');
  } catch (error) {
    // What failed first is what is to be mended first.
    failure ??= error;
  }
  if (failure !== undefined) throw failure as Error;
}

async function useDevice(target: Target, token: string, say: (line: string) => void): Promise<void> {
  const posted = await call(target, token, 'POST');
  expectThat(posted.thingId !== '', 'POST answers without a thingId');
  say(`POST onboards ${target.serial}`);
  const got = await call(target, token, 'GET');
  expectThat(got.thingId === posted.thingId, 'GET answers with another thingId than POST');
  say('GET tells the same device');
  const deviceId = target.deviceId ?? `end-to-end-${Date.now()}`;
  await publishSoon(target, posted, deviceId, say);
  say(`a message is published to ${target.topic} with the device's certificate`);
  if (target.arrived === undefined) return;
  await target.arrived(deviceId);
  say('the message is a row of the lake');
}

/** As the wizard does it: everything in the query string, and an empty body. */
async function accessToken({ tokenEndpoint, clientId, refreshToken }: Target): Promise<string> {
  const query = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: clientId,
    refresh_token: refreshToken,
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await fetch(`${tokenEndpoint}?${query.toString()}`, { method: 'POST', headers, body: '' });
  const body = (await answer.json().catch(() => ({}))) as { access_token?: string; error?: string };
  if (answer.ok && body.access_token !== undefined) return body.access_token;
  throw new Failure(`the token endpoint answers ${answer.status} ${body.error ?? ''}`.trimEnd());
}

async function call(target: Target, token: string, method: string): Promise<Envelope> {
  const url = `${target.api}api/onboard/${encodeURIComponent(target.serial)}`;
  const answer = await fetch(url, { method, headers: { authorization: `Bearer ${token}` } });
  const text = await answer.text();
  // An answer holds a private key: what is shown of a failure is its error and nothing else.
  const body = parse(text);
  const problem = body?.error.msg || body?.error.code;
  expectThat(answer.status === 200 && body !== undefined, `${method} answers ${answer.status} ${problem ?? ''}`);
  expectThat(body?.error.code === '', `${method} answers with the error ${body?.error.code}`);
  return body as Envelope;
}

function parse(text: string): Envelope | undefined {
  try {
    const body = JSON.parse(text) as Partial<Envelope>;
    return body.error === undefined ? undefined : (body as Envelope);
  } catch {
    return undefined;
  }
}

/** Publishes as soon as the broker takes it: a policy that has just been attached may not be in force yet. */
async function publishSoon(
  target: Target,
  device: Envelope,
  deviceId: string,
  say: (line: string) => void,
): Promise<void> {
  let refused: unknown;
  const sent = await waitFor(target.patience ?? PATIENCE, async () => {
    try {
      await publish(target, device, deviceId);
      return true;
    } catch (error) {
      if (refused === undefined)
        say(`the broker refuses the device (${messageOf(error)}); its policy may take minutes`);
      refused = error;
      return undefined;
    }
  });
  if (sent === undefined) throw refused as Error;
}

async function publish(target: Target, device: Envelope, deviceId: string): Promise<void> {
  const { port, ...reached } = target.broker ?? { port: 8883 };
  const client = await connectAsync(`mqtts://${device.mqttEndpoint}:${port}`, {
    clientId: target.serial,
    cert: device.credential.certificatePem,
    key: device.credential.privateKey,
    ...reached,
    connectTimeout: 15_000,
    reconnectPeriod: 0,
  });
  try {
    const message = {
      device: {
        gatewayId: target.serial,
        deviceId,
        capabilityModelId: 'urn:rigado:S1_Sensor:2',
        dtmi: 'dtmi:rigado:S1Sensor;1',
      },
      measurements: { temperature: 21.5, humidity: 47.8, batteryLevel: 100, rssi: -63 },
    };
    // With QoS 1 the broker says that it has it; a policy that forbids it closes the connection.
    await client.publishAsync(target.topic, JSON.stringify(message), { qos: 1 });
  } finally {
    await client.endAsync(true);
  }
}

function expectThat(condition: boolean, otherwise: string): void {
  if (!condition) throw new Failure(otherwise.trimEnd());
}
