/**
 * Makes the API user once, stores the quickstart's configuration in the secret, and tells the contact where it is.
 *
 * The user and its refresh token stay as they are as long as the client does; nothing secret is printed or mailed.
 */
import { randomBytes } from 'node:crypto';

import {
  AdminCreateUserCommand,
  AdminInitiateAuthCommand,
  AdminSetUserPasswordCommand,
  CognitoIdentityProviderClient,
} from '@aws-sdk/client-cognito-identity-provider';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';

import { answer, type Request } from './answer';

type Config = Record<string, string>;

interface Properties {
  readonly SecretArn: string;
  readonly TopicArn: string;
  /** The keys of `infra-config` but for the user's, as JSON. */
  readonly Configuration: string;
}

const OF_USER = ['username', 'password', 'cognitoRefreshToken'];

/** What an earlier deployment stored; nothing at the first one. */
async function stored(secrets: SecretsManagerClient, SecretId: string): Promise<Config> {
  try {
    const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId }));
    return JSON.parse(SecretString ?? '{}') as Config;
  } catch (error) {
    // A secret that CloudFormation has just made holds a random word.
    if (error instanceof ResourceNotFoundException || error instanceof SyntaxError) return {};
    throw error;
  }
}

async function newUser(UserPoolId: string, ClientId: string): Promise<Config> {
  const cognito = new CognitoIdentityProviderClient();
  const Username = `api-${randomBytes(8).toString('hex')}`;
  const Password = `Aa1!${randomBytes(32).toString('base64url')}`;
  await cognito.send(
    new AdminCreateUserCommand({ UserPoolId, Username, TemporaryPassword: Password, MessageAction: 'SUPPRESS' }),
  );
  await cognito.send(new AdminSetUserPasswordCommand({ UserPoolId, Username, Password, Permanent: true }));
  const signedIn = await cognito.send(
    new AdminInitiateAuthCommand({
      UserPoolId,
      ClientId,
      AuthFlow: 'ADMIN_USER_PASSWORD_AUTH',
      AuthParameters: { USERNAME: Username, PASSWORD: Password },
    }),
  );
  const token = signedIn.AuthenticationResult?.RefreshToken;
  if (token === undefined) throw new Error('Cognito gave no refresh token');
  return { username: Username, password: Password, cognitoRefreshToken: token };
}

export const handler = (request: Request<Properties>): Promise<void> =>
  answer(request, 'handover', async ({ SecretArn, TopicArn, Configuration }) => {
    const secrets = new SecretsManagerClient();
    const config = JSON.parse(Configuration) as Config;
    const before = await stored(secrets, SecretArn);
    const isKept =
      ['cognitoUserPoolId', 'cognitoClientId'].every((key) => before[key] === config[key]) &&
      OF_USER.every((key) => before[key]);
    const user = isKept
      ? Object.fromEntries(OF_USER.map((key) => [key, before[key]]))
      : await newUser(config.cognitoUserPoolId ?? '', config.cognitoClientId ?? '');
    const SecretString = JSON.stringify({ ...config, ...user });
    await secrets.send(new PutSecretValueCommand({ SecretId: SecretArn, SecretString }));
    const Message =
      `What the wizard asks for lies in Secrets Manager, in ${SecretArn}\n` +
      `It is not in this mail. Print it with: npm run wizard -- --environment ${config.env}`;
    try {
      await new SNSClient().send(
        new PublishCommand({ TopicArn, Subject: `iotlake ${config.env} is deployed`, Message }),
      );
    } catch (error) {
      // An address that nobody confirmed is no reason to fail.
      console.error('the contact could not be told:', error);
    }
  });
