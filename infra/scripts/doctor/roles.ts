/**
 * Whether a role may do what its stage needs, as IAM itself judges it (`SimulatePrincipalPolicy`), and whom a policy of
 * a resource lets in.
 */
import { SimulatePrincipalPolicyCommand } from '@aws-sdk/client-iam';

import { isMissing } from '../aws';
import type { Environment } from './environment';
import type { Look } from './look';

const DEPLOY_AGAIN = 'the role was changed after the deployment: deploy again, which puts its policy back';

/** Tells of a role what it may not do of what it has to. */
export async function mayDo(
  environment: Environment,
  look: Look,
  roleArn: string,
  needs: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const role = roleArn.split('/').at(-1) ?? roleArn;
  const denied: string[] = [];
  try {
    for (const [resource, actions] of Object.entries(needs)) {
      const asked = { PolicySourceArn: roleArn, ActionNames: [...actions], ResourceArns: [resource] };
      const { EvaluationResults = [] } = await environment.aws.iam.send(new SimulatePrincipalPolicyCommand(asked));
      const refused = EvaluationResults.filter(({ EvalDecision }) => EvalDecision !== 'allowed');
      denied.push(...refused.map(({ EvalActionName }) => `${EvalActionName} on ${resource}`));
    }
  } catch (error) {
    if (isMissing(error) || (error instanceof Error && error.name === 'NoSuchEntityException')) {
      return look.broken(`the role ${role} is gone`, DEPLOY_AGAIN);
    }
    // Who may look at everything may still not be let simulate; the stage's other facts stand.
    const name = error instanceof Error ? error.name : 'error';
    return look.fact('role', `${role}, not judged (${name}; iam:SimulatePrincipalPolicy is needed)`);
  }
  if (denied.length > 0) return look.broken(`the role ${role} may not ${denied.join(', ')}`, DEPLOY_AGAIN);
  look.fact('role', `${role} may do what it needs`);
}

/** Whether a policy of a resource allows a service of AWS an action. */
export function lets(policy: string | undefined, service: string, action: string): boolean {
  const { Statement = [] } = JSON.parse(policy ?? '{}') as { Statement?: PolicyStatement | PolicyStatement[] };
  const wanted = action.toLowerCase();
  const list = <T>(value: T | readonly T[] | undefined): T[] =>
    value === undefined ? [] : ((Array.isArray(value) ? value : [value]) as T[]);
  return list(Statement).some(({ Effect, Principal, Action }) => {
    const principals = typeof Principal === 'object' ? list(Principal.Service) : list(Principal);
    const actions = list(Action).map((each) => each.toLowerCase());
    const fits = actions.some((each) => each === '*' || each === wanted || each === `${wanted.split(':')[0]}:*`);
    return Effect === 'Allow' && fits && (principals.includes(service) || principals.includes('*'));
  });
}

interface PolicyStatement {
  readonly Effect?: string;
  readonly Principal?: string | { readonly Service?: string | string[] };
  readonly Action?: string | string[];
}
