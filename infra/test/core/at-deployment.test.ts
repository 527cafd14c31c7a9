/** What is called while a stack is deployed, as it stands in the template, against a server that has users and secrets. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';

import {
  AdminGetUserCommand,
  CognitoIdentityProviderClient,
  CreateUserPoolClientCommand,
  CreateUserPoolCommand,
  ListUsersCommand,
} from '@aws-sdk/client-cognito-identity-provider';
import { CreateSecretCommand, GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { CreateTopicCommand, SNSClient } from '@aws-sdk/client-sns';

import { bundled } from '../../lib/at-deployment';
import { describeWithServer, start, type StandIn } from '../scripts/stand-in';

jest.setTimeout(90_000);

type Answer = { Status: string; Reason: string; PhysicalResourceId: string; RequestId: string };
type Handler = (request: object) => Promise<void>;

/** The function of the text that the template has. */
function handlerOf(script: string): Handler {
  const module = { exports: {} as { handler?: Handler } };
  const load = new Function('module', 'exports', 'require', bundled(script));
  load(module, module.exports, createRequire(__filename));
  if (module.exports.handler === undefined) throw new Error(`${script} has no handler`);
  return module.exports.handler;
}

/** Takes answers as CloudFormation's signed address does. */
class Answers {
  readonly types: (string | undefined)[] = [];
  private readonly all: Answer[] = [];
  private server!: Server;

  async listen(): Promise<void> {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.types.push(request.headers['content-type']);
        this.all.push(JSON.parse(Buffer.concat(chunks).toString()) as Answer);
        response.end();
      });
    });
    await new Promise<void>((listening) => this.server.listen(0, '127.0.0.1', listening));
  }

  async of(handler: Handler, RequestType: string, ResourceProperties: object): Promise<Answer> {
    const { port } = this.server.address() as AddressInfo;
    const common = { StackId: 'stack', RequestId: `${RequestType}-1`, LogicalResourceId: 'Call' };
    await handler({ RequestType, ResponseURL: `http://127.0.0.1:${port}/`, ...common, ResourceProperties });
    const last = this.all.at(-1);
    if (last === undefined) throw new Error('no answer came');
    return last;
  }

  async close(): Promise<void> {
    await new Promise((closed) => this.server.close(closed));
  }
}

const answers = new Answers();
beforeAll(() => answers.listen());
afterAll(() => answers.close());

test('both fit into a template', () => {
  for (const script of ['init', 'handover']) expect(bundled(script).length).toBeLessThan(4096);
});

describeWithServer('while a stack is deployed', () => {
  let server: StandIn;
  beforeAll(async () => {
    server = await start();
    jest.spyOn(console, 'error').mockImplementation(() => undefined);
  });
  afterAll(() => server.stop());

  test('one user is made, and kept as long as its client is the same', async () => {
    const cognito = new CognitoIdentityProviderClient();
    const secrets = new SecretsManagerClient();
    const pool = (await cognito.send(new CreateUserPoolCommand({ PoolName: 'users' }))).UserPool?.Id ?? '';
    const client = async (ClientName: string): Promise<string> => {
      const ExplicitAuthFlows = ['ALLOW_ADMIN_USER_PASSWORD_AUTH' as const, 'ALLOW_REFRESH_TOKEN_AUTH' as const];
      const made = await cognito.send(
        new CreateUserPoolClientCommand({ UserPoolId: pool, ClientName, ExplicitAuthFlows }),
      );
      return made.UserPoolClient?.ClientId ?? '';
    };
    const secret = await secrets.send(new CreateSecretCommand({ Name: 'access', SecretString: 'a random word' }));
    const topic = await new SNSClient().send(new CreateTopicCommand({ Name: 'contact' }));
    const handover = handlerOf('handover');
    const given = (clientId: string, more = {}): object => ({
      SecretArn: secret.ARN,
      TopicArn: topic.TopicArn,
      Configuration: JSON.stringify({ env: 'int', cognitoUserPoolId: pool, cognitoClientId: clientId, ...more }),
    });
    const access = async (): Promise<Record<string, string>> => {
      const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId: 'access' }));
      return JSON.parse(SecretString ?? '') as Record<string, string>;
    };
    const users = async (): Promise<number> =>
      (await cognito.send(new ListUsersCommand({ UserPoolId: pool }))).Users?.length ?? 0;

    const first = await client('wizard');
    expect(await answers.of(handover, 'Create', given(first))).toMatchObject({
      Status: 'SUCCESS',
      PhysicalResourceId: 'handover',
      RequestId: 'Create-1',
    });
    const made = await access();
    expect(made).toMatchObject({ env: 'int', cognitoUserPoolId: pool, cognitoClientId: first });
    expect(made.cognitoRefreshToken).toBeTruthy();
    await cognito.send(new AdminGetUserCommand({ UserPoolId: pool, Username: made.username ?? '' }));

    // Deployed again with something else changed: the wizard's token goes on.
    expect((await answers.of(handover, 'Update', given(first, { region: 'x' }))).Status).toBe('SUCCESS');
    expect(await access()).toEqual({ ...made, region: 'x' });
    expect(await users()).toBe(1);

    // Another client has no tokens yet.
    expect((await answers.of(handover, 'Update', given(await client('other')))).Status).toBe('SUCCESS');
    expect((await access()).cognitoRefreshToken).not.toBe(made.cognitoRefreshToken);
    expect(await users()).toBe(2);

    // A contact that cannot be told fails nothing, and deleting undoes nothing.
    const nowhere = { ...given(first), TopicArn: 'arn:aws:sns:eu-west-1:123456789012:nowhere' };
    expect((await answers.of(handover, 'Update', nowhere)).Status).toBe('SUCCESS');
    const before = await access();
    expect((await answers.of(handover, 'Delete', {})).Status).toBe('SUCCESS');
    expect(await access()).toEqual(before);
    // The address is signed for no type.
    expect(answers.types.filter((type) => type !== undefined && type !== '')).toEqual([]);
  });

  test('what fails fails the deployment, with its reason and without a secret', async () => {
    const handover = handlerOf('handover');
    const given = { SecretArn: 'nowhere', TopicArn: 'x', Configuration: '{"cognitoUserPoolId":"eu-west-1_none"}' };
    const failed = await answers.of(handover, 'Create', given);
    expect(failed).toMatchObject({ Status: 'FAILED', Reason: expect.stringMatching(/NotFound/) as string });

    const missing = await answers.of(handlerOf('init'), 'Create', { FunctionName: 'nowhere' });
    expect(missing).toMatchObject({ Status: 'FAILED', Reason: expect.stringMatching(/nowhere/) as string });
    expect((await answers.of(handlerOf('init'), 'Delete', {})).Status).toBe('SUCCESS');
  });
});
