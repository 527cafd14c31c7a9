/**
 * A new refresh token in place of the old ones.
 *
 * In comes a stack; out goes its secret with another token, which is printed nowhere. What must stay true: when this
 * ended well exactly one refresh token of the API user is valid, the one in the secret. So all are revoked first, also
 * those of a run that died half-way; until the new one is stored no wizard gets an access token, and running it again
 * goes on.
 */
import { AdminInitiateAuthCommand, AdminUserGlobalSignOutCommand } from '@aws-sdk/client-cognito-identity-provider';
import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';

import { Failure } from '../arguments';
import type { Aws } from '../aws';
import { secretOf } from '../deployed';
import type { LiveStack } from '../uninstall/stacks';

/** Says what it would do, or does it. */
export async function renew(aws: Aws, stack: LiveStack, doesIt: boolean, say: (line: string) => void): Promise<void> {
  const { id, values } = await secretOf(aws, stack);
  const of = (key: string): string => {
    const value = values.get(key);
    if (value !== undefined && value !== '') return value;
    throw new Failure(`the secret ${id} has no ${key}`, 'deploy again: the deployment makes the API user anew');
  };
  const user = { UserPoolId: of('cognitoUserPoolId'), Username: of('username') };
  if (!doesIt) {
    say(`would revoke every refresh token of ${user.Username} and store a new one in ${id}; --yes does it`);
    return;
  }
  await aws.cognito.send(new AdminUserGlobalSignOutCommand(user));
  say(`every refresh token of ${user.Username} is revoked; access tokens end within the hour`);
  const signedIn = await aws.cognito.send(
    new AdminInitiateAuthCommand({
      UserPoolId: user.UserPoolId,
      ClientId: of('cognitoClientId'),
      AuthFlow: 'ADMIN_USER_PASSWORD_AUTH',
      AuthParameters: { USERNAME: user.Username, PASSWORD: of('password') },
    }),
  );
  const token = signedIn.AuthenticationResult?.RefreshToken;
  if (token === undefined) throw new Failure('Cognito gave no refresh token', 'run it again');
  const SecretString = JSON.stringify({ ...Object.fromEntries(values), cognitoRefreshToken: token });
  await aws.secrets.send(new PutSecretValueCommand({ SecretId: id, SecretString }));
  say(`a new one is in ${id}: npm run wizard -- --environment ${of('env')} prints it`);
}
