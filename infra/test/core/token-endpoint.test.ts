/**
 * What Cognito's token endpoint would say to the clients of the template, and that the endpoint that stands in for it in
 * the end-to-end tests says no where Cognito's documentation does.
 */
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { releaseStack } from '../../lib/release';
import { startTokenEndpoint, type AppClient, type Rules, type TokenEndpoint } from '../token-endpoint';

jest.setTimeout(120_000);

const DAY = 86_400;
const ISSUED = 1_700_000_000;
/** A client as it has to be: refresh at the endpoint is allowed, and a token is good for ten days. */
const OPEN: AppClient = {
  AllowedOAuthFlowsUserPoolClient: true,
  AllowedOAuthFlows: ['code'],
  RefreshTokenValidity: 10,
};
const CLIENTS: Readonly<Record<string, AppClient>> = {
  open: OPEN,
  // As CDK's `disableOAuth` makes it.
  sdkOnly: { AllowedOAuthFlowsUserPoolClient: false },
  unsaid: {},
  machine: { ...OPEN, AllowedOAuthFlows: ['client_credentials'], ClientSecret: 'secret' },
  secret: { ...OPEN, ClientSecret: 'secret' },
  hours: { ...OPEN, RefreshTokenValidity: 240, TokenValidityUnits: { RefreshToken: 'hours' } },
};

let endpoint: TokenEndpoint;
let now = ISSUED;

const rules: Rules = {
  client: async (id) => Promise.resolve(CLIENTS[id]),
  refresh: async (clientId, token) =>
    Promise.resolve(token === `token-of-${clientId}` ? { accessToken: 'access', issued: ISSUED } : undefined),
  now: () => now * 1_000,
};

beforeAll(async () => (endpoint = await startTokenEndpoint(rules)));
afterAll(async () => endpoint.stop());
beforeEach(() => (now = ISSUED));

type Words = Record<string, string>;
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

async function post(url: string, body: string, headers: Words = {}): Promise<[number, unknown]> {
  const answer = await fetch(url, { method: 'POST', body, headers: { ...FORM, ...headers } });
  return [answer.status, await answer.json()];
}

/** As the wizard asks, and as Cognito's examples do. */
const ways: [string, (words: Words, headers?: Words) => Promise<[number, unknown]>][] = [
  ['in the query string', (words, headers) => post(`${endpoint.url}?${new URLSearchParams(words)}`, '', headers)],
  ['as a form', (words, headers) => post(endpoint.url, new URLSearchParams(words).toString(), headers)],
];

const asked = (client_id: string, refresh_token = `token-of-${client_id}`): Words => ({
  grant_type: 'refresh_token',
  client_id,
  refresh_token,
});
const refused = (error: string): [number, object] => [400, { error }];

describe.each(ways)('%s', (_, ask) => {
  test('a token that stands gives an access token', async () => {
    expect(await ask(asked('open'))).toEqual([200, { access_token: 'access' }]);
  });

  test.each(['sdkOnly', 'unsaid'])('the client %s may only sign in with the SDK', async (client) => {
    expect(await ask(asked(client))).toEqual(refused('unauthorized_client'));
  });

  test('a client without the flow of codes may not refresh', async () => {
    expect(await ask({ ...asked('machine'), client_secret: 'secret' })).toEqual(refused('unauthorized_client'));
  });

  test('a token that was revoked, or is of another client, is no grant', async () => {
    expect(await ask(asked('open', 'revoked'))).toEqual(refused('invalid_grant'));
    expect(await ask(asked('open', 'token-of-hours'))).toEqual(refused('invalid_grant'));
  });

  test.each(['open', 'hours'])('a token that is over is no grant: %s', async (client) => {
    now = ISSUED + 10 * DAY - 1;
    expect(await ask(asked(client))).toEqual([200, { access_token: 'access' }]);
    now = ISSUED + 10 * DAY;
    expect(await ask(asked(client))).toEqual(refused('invalid_grant'));
  });

  test('a client that is not there, or whose secret is another, is no client', async () => {
    expect(await ask(asked('nobody'))).toEqual(refused('invalid_client'));
    expect(await ask(asked('secret'))).toEqual(refused('invalid_client'));
    expect(await ask({ ...asked('secret'), client_secret: 'other' })).toEqual(refused('invalid_client'));
    const { client_id: _id, ...others } = asked('secret');
    const authorization = `Basic ${Buffer.from('secret:secret').toString('base64')}`;
    expect(await ask(others, { authorization })).toEqual([200, { access_token: 'access' }]);
  });

  test('what is missing or unknown is told', async () => {
    expect(await ask({ client_id: 'open' })).toEqual(refused('invalid_request'));
    expect(await ask({ grant_type: 'refresh_token', client_id: 'open' })).toEqual(refused('invalid_request'));
    expect(await ask({ ...asked('open'), grant_type: 'password' })).toEqual(refused('unsupported_grant_type'));
  });
});

test('it takes a POST of a form, and nothing else', async () => {
  const url = `${endpoint.url}?${new URLSearchParams(asked('open'))}`;
  expect((await fetch(url)).status).toBe(405);
  expect(await post(url, '', { 'content-type': 'application/json' })).toEqual(refused('invalid_request'));
});

test("the wizard's client of the template may refresh there", async () => {
  const resources = Template.fromStack(releaseStack(new App())).findResources('AWS::Cognito::UserPoolClient');
  const wizard = Object.values(resources as Record<string, { Properties: AppClient & { GenerateSecret?: boolean } }>);
  expect(wizard).toHaveLength(1);
  const { Properties: client } = wizard[0]!;
  expect(client.GenerateSecret).toBe(false);
  const own = await startTokenEndpoint({ ...rules, client: async () => Promise.resolve(client) });
  try {
    expect(await post(`${own.url}?${new URLSearchParams(asked('wizard'))}`, '')).toEqual([
      200,
      { access_token: 'access' },
    ]);
  } finally {
    await own.stop();
  }
});
