/** A new refresh token: the one in the secret is valid, and those before are not. */
import {
  AdminCreateUserCommand,
  AdminInitiateAuthCommand,
  AdminSetUserPasswordCommand,
  CreateUserPoolClientCommand,
  CreateUserPoolCommand,
  InitiateAuthCommand,
} from '@aws-sdk/client-cognito-identity-provider';
import { CreateSecretCommand } from '@aws-sdk/client-secrets-manager';

import { Aws } from '../../scripts/aws';
import { secretOf } from '../../scripts/deployed';
import { renew } from '../../scripts/token/renew';
import type { LiveStack } from '../../scripts/uninstall/stacks';
import { waitFor } from '../../scripts/waiting';
import { describeWithServer, start, type StandIn } from './stand-in';

jest.setTimeout(90_000);

describeWithServer('token', () => {
  let server: StandIn;
  let aws: Aws;
  let stack: LiveStack;
  let first: string;
  const user = { username: 'api-1', password: 'Aa1!password-of-a-program' };

  beforeAll(async () => {
    server = await start();
    aws = new Aws('eu-west-1');
    const pool = await aws.cognito.send(new CreateUserPoolCommand({ PoolName: 'users' }));
    const UserPoolId = pool.UserPool?.Id ?? '';
    const flows = ['ALLOW_ADMIN_USER_PASSWORD_AUTH' as const, 'ALLOW_REFRESH_TOKEN_AUTH' as const];
    const made = await aws.cognito.send(
      new CreateUserPoolClientCommand({ UserPoolId, ClientName: 'wizard', ExplicitAuthFlows: flows }),
    );
    const ClientId = made.UserPoolClient?.ClientId ?? '';
    const Username = user.username;
    await aws.cognito.send(new AdminCreateUserCommand({ UserPoolId, Username, MessageAction: 'SUPPRESS' }));
    await aws.cognito.send(
      new AdminSetUserPasswordCommand({ UserPoolId, Username, Password: user.password, Permanent: true }),
    );
    const signedIn = await aws.cognito.send(
      new AdminInitiateAuthCommand({
        UserPoolId,
        ClientId,
        AuthFlow: 'ADMIN_USER_PASSWORD_AUTH',
        AuthParameters: { USERNAME: Username, PASSWORD: user.password },
      }),
    );
    first = signedIn.AuthenticationResult?.RefreshToken ?? '';
    const config = { env: 'int', cognitoUserPoolId: UserPoolId, cognitoClientId: ClientId, ...user };
    const SecretString = JSON.stringify({ ...config, cognitoRefreshToken: first });
    const { Name = '' } = await aws.secrets.send(new CreateSecretCommand({ Name: 'access', SecretString }));
    const secret = {
      logicalId: 'Secret',
      physicalId: Name,
      type: 'AWS::SecretsManager::Secret',
      status: 'CREATE_COMPLETE',
    };
    stack = { id: 'id', name: 'iotlake-int', status: 'CREATE_COMPLETE', outputs: new Map(), resources: [secret] };
  });

  afterAll(() => server.stop());

  const inSecret = async (key: string): Promise<string> => (await secretOf(aws, stack)).values.get(key) ?? '';

  /** Whether a refresh token is taken. */
  async function isTaken(token: string): Promise<boolean> {
    const AuthParameters = { REFRESH_TOKEN: token };
    const ClientId = await inSecret('cognitoClientId');
    try {
      const answer = await aws.cognito.send(
        new InitiateAuthCommand({ AuthFlow: 'REFRESH_TOKEN_AUTH', ClientId, AuthParameters }),
      );
      return answer.AuthenticationResult?.AccessToken !== undefined;
    } catch (error) {
      expect(String(error)).toContain('NotAuthorizedException');
      return false;
    }
  }

  test('without --yes it says what it would do, and does nothing', async () => {
    const said: string[] = [];
    await renew(aws, stack, false, (line) => said.push(line));
    expect(said).toEqual([expect.stringMatching(/^would revoke every refresh token of api-1 .*--yes does it$/)]);
    expect(await inSecret('cognitoRefreshToken')).toBe(first);
    expect(await isTaken(first)).toBe(true);
  });

  test('a new one is stored, the old one is refused, and neither is printed', async () => {
    // The stand-in refuses tokens of an earlier second than the revocation's.
    const issued = Math.floor(Date.now() / 1000);
    await waitFor({ every: 50, atMost: 5_000 }, async () => (Date.now() / 1000 > issued + 1 ? true : undefined));
    const said: string[] = [];
    await renew(aws, stack, true, (line) => said.push(line));
    const second = await inSecret('cognitoRefreshToken');
    expect(second).not.toBe(first);
    expect(await isTaken(second)).toBe(true);
    expect(await isTaken(first)).toBe(false);
    expect(await inSecret('username')).toBe(user.username);
    expect(said).toHaveLength(2);
    for (const secret of [first, second, user.password]) expect(said.join('\n')).not.toContain(secret);
  });

  test('a secret without a user says what to do', async () => {
    const SecretString = JSON.stringify({ env: 'int', cognitoRefreshToken: 'x' });
    await aws.secrets.send(new CreateSecretCommand({ Name: 'other', SecretString }));
    const other = { ...stack, resources: stack.resources.map((each) => ({ ...each, physicalId: 'other' })) };
    await expect(renew(aws, other, true, () => undefined)).rejects.toThrow('the secret other has no cognitoUserPoolId');
  });
});
