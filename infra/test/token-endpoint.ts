/**
 * A token endpoint that refuses what Cognito's documentation says that its own refuses.
 *
 * In come the app clients as a template, or the pool itself, describes them, and who can tell whether a refresh token
 * still stands; out comes a server. Parameters may stand in the query string of a POST with an empty body, as the wizard
 * sends them, or in a form body. What must stay true: nothing is allowed here that the client's own properties do not
 * allow, so that a client that Cognito would turn away fails a test first. The sentences are those of
 * https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

import { InitiateAuthCommand, type CognitoIdentityProviderClient } from '@aws-sdk/client-cognito-identity-provider';

/** An app client, with the names of CloudFormation and of the API. What is not given is as Cognito has it then. */
export interface AppClient {
  readonly AllowedOAuthFlowsUserPoolClient?: boolean;
  readonly AllowedOAuthFlows?: readonly string[];
  readonly RefreshTokenValidity?: number;
  readonly TokenValidityUnits?: { readonly RefreshToken?: string };
  readonly ClientSecret?: string;
}

/** What is known of a refresh token that stands: an access token, and when the refresh token was issued, in seconds. */
export interface Refreshed {
  readonly accessToken: string;
  readonly issued: number;
}

export interface Rules {
  /** The client of an id, if there is one. */
  readonly client: (id: string) => Promise<AppClient | undefined>;
  /** A new access token; nothing for a token that was revoked, never issued, or issued to another client. */
  readonly refresh: (clientId: string, refreshToken: string) => Promise<Refreshed | undefined>;
  /** The time in milliseconds. */
  readonly now?: () => number;
}

/** An answer of the endpoint. */
export interface Answer {
  readonly status: number;
  readonly body: { readonly access_token?: string; readonly error?: string };
}

const SECONDS: Readonly<Record<string, number>> = { seconds: 1, minutes: 60, hours: 3_600, days: 86_400 };
const FORM = 'application/x-www-form-urlencoded';

const refused = (error: string): Answer => ({ status: 400, body: { error } });

/** What Cognito answers to these parameters. */
export async function answer(parameters: URLSearchParams, authorization: string, rules: Rules): Promise<Answer> {
  const grant = parameters.get('grant_type');
  if (grant === null) return refused('invalid_request');
  // "Returned if grant_type is anything other than authorization_code, refresh_token, or client_credentials."
  if (!['authorization_code', 'refresh_token', 'client_credentials'].includes(grant)) {
    return refused('unsupported_grant_type');
  }
  const [basicId, basicSecret] = basic(authorization);
  const id = basicId ?? parameters.get('client_id') ?? '';
  const token = parameters.get('refresh_token') ?? '';
  // "The request is missing a required parameter, includes an unsupported parameter value, or is malformed."
  if (id === '' || (grant === 'refresh_token' && token === '')) return refused('invalid_request');
  const client = await rules.client(id);
  // "Client authentication failed": there is no such client, or its secret is another.
  if (client === undefined) return refused('invalid_client');
  const secret = basicSecret ?? parameters.get('client_secret') ?? undefined;
  if ((client.ClientSecret ?? undefined) !== secret) return refused('invalid_client');
  // "When false, only SDK-based API sign-in is permitted"; "Client is not allowed for code grant flow or for refreshing
  // tokens."
  const flows = client.AllowedOAuthFlowsUserPoolClient === true ? (client.AllowedOAuthFlows ?? []) : [];
  if (!flows.includes(grant === 'client_credentials' ? 'client_credentials' : 'code')) {
    return refused('unauthorized_client');
  }
  // No test of ours has a code or a machine's scopes to give; a real endpoint would look at them next.
  if (grant !== 'refresh_token') return refused('invalid_grant');
  // "Refresh token has been revoked", or it is over, or it is not this client's.
  const refreshed = await rules.refresh(id, token);
  if (refreshed === undefined) return refused('invalid_grant');
  const age = (rules.now ?? Date.now)() / 1_000 - refreshed.issued;
  if (age >= lifetime(client)) return refused('invalid_grant');
  return { status: 200, body: { access_token: refreshed.accessToken } };
}

/** How long refresh tokens of a client are good for, in seconds: 30 days, if it does not say. */
function lifetime({ RefreshTokenValidity = 30, TokenValidityUnits = {} }: AppClient): number {
  return RefreshTokenValidity * (SECONDS[TokenValidityUnits.RefreshToken ?? 'days'] ?? 86_400);
}

/** Client and secret of an `Authorization` header. */
function basic(authorization: string): [string | undefined, string | undefined] {
  const [, encoded] = /^Basic (.+)$/.exec(authorization) ?? [];
  if (encoded === undefined) return [undefined, undefined];
  const [id, secret] = Buffer.from(encoded, 'base64').toString().split(':', 2);
  return [id, secret];
}

/** Who stands in for the pool: it knows which tokens stand, and when they were issued. */
export function refreshedBy(cognito: CognitoIdentityProviderClient): Rules['refresh'] {
  return async (ClientId, REFRESH_TOKEN) => {
    try {
      const { AuthenticationResult: result } = await cognito.send(
        new InitiateAuthCommand({ AuthFlow: 'REFRESH_TOKEN_AUTH', ClientId, AuthParameters: { REFRESH_TOKEN } }),
      );
      const claims = JSON.parse(Buffer.from(REFRESH_TOKEN.split('.')[1] ?? '', 'base64url').toString()) as {
        iat: number;
      };
      return result?.AccessToken === undefined ? undefined : { accessToken: result.AccessToken, issued: claims.iat };
    } catch (error) {
      if (error instanceof Error && error.name === 'NotAuthorizedException') return undefined;
      throw error;
    }
  };
}

/** A token endpoint that listens. */
export interface TokenEndpoint {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts one on the loopback interface. */
export async function startTokenEndpoint(rules: Rules): Promise<TokenEndpoint> {
  const server = createServer((request, response) => {
    const end = ({ status, body }: Answer): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    asked(request).then(
      (parameters) =>
        parameters === undefined
          ? end({ status: 405, body: {} })
          : answer(parameters, request.headers.authorization ?? '', rules).then(end, () =>
              end(refused('server_error')),
            ),
      () => end(refused('invalid_request')),
    );
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth2/token`,
    async stop() {
      await new Promise((closed) => (server.close(closed), server.closeAllConnections()));
    },
  };
}

/** The parameters of a request, from its address and its form; nothing for what is no POST. */
async function asked(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  if (request.method !== 'POST') return undefined;
  const parameters = new URL(request.url ?? '', 'http://x').searchParams;
  // "Must always be application/x-www-form-urlencoded."
  if (!(request.headers['content-type'] ?? '').startsWith(FORM)) throw new Error('another content type');
  for (const [name, value] of new URLSearchParams(Buffer.concat(parts).toString())) parameters.set(name, value);
  return parameters;
}
