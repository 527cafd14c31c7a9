/**
 * What a deployed environment says of itself: the outputs of its stack, and the configuration that its secret holds.
 *
 * The keys of the configuration are those of the quickstart's `infra-config-<environment>.json`, `tokenEnpoint`
 * (so spelled) included. The secret is found among the resources of the stack by the key that only it has.
 */
import { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';

import { Failure } from './arguments';
import { unlessMissing, type Aws } from './aws';
import { find, type LiveStack } from './uninstall/stacks';

/** The stack of an environment; a failure if it is not there. */
export async function stackOf(aws: Aws, environment: string): Promise<LiveStack> {
  const name = `iotlake-${environment}`;
  const stack = await find(aws.cloudFormation, name);
  if (stack !== undefined) return stack;
  throw new Failure(
    `there is no stack ${name}`,
    'is it the right --region, the right account, the right --environment?',
  );
}

/** An output of the stack. */
export function output(stack: LiveStack, key: string): string {
  const value = stack.outputs.get(key);
  if (value !== undefined && value !== '') return value;
  throw new Failure(`stack ${stack.name} has no output ${key}`, 'was it deployed with onboarding?');
}

/** The configuration that the stack hands over, from its secret. */
export async function configuration(aws: Aws, stack: LiveStack): Promise<ReadonlyMap<string, string>> {
  return (await secretOf(aws, stack)).values;
}

/** The secret itself, by its name, and what it holds. */
export async function secretOf(
  aws: Aws,
  stack: LiveStack,
): Promise<{ readonly id: string; readonly values: ReadonlyMap<string, string> }> {
  for (const { type, physicalId } of stack.resources) {
    if (type !== 'AWS::SecretsManager::Secret') continue;
    const secret = await unlessMissing(aws.secrets.send(new GetSecretValueCommand({ SecretId: physicalId })));
    const values = parse(secret?.SecretString);
    if (values.has('cognitoRefreshToken')) return { id: physicalId, values };
  }
  throw new Failure(
    `stack ${stack.name} has no secret with the key cognitoRefreshToken`,
    'deploy again: the deployment makes the API user and stores its token',
  );
}

function parse(text: string | undefined): Map<string, string> {
  try {
    const values: unknown = JSON.parse(text ?? '{}');
    if (typeof values !== 'object' || values === null) return new Map();
    return new Map(Object.entries(values).map(([key, value]) => [key, String(value)]));
  } catch {
    // A secret that is plain text is another one.
    return new Map();
  }
}
