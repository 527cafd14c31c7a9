/**
 * Why a permission ends in a wildcard, said beside the permission, for those who review it and for cdk-nag.
 *
 * A finding of cdk-nag names the resource as the template has it, with references in angle brackets; this writes the
 * name from the ARN that the policy was given, so that both change together.
 */
import { Stack, Validations, type aws_iam as iam } from 'aws-cdk-lib';

/** Acknowledges that a role may use every resource below `arn`. */
export function acknowledgeWildcard(role: iam.Role, arn: string, reason: string): void {
  const resource = named(Stack.of(role).resolve(arn));
  Validations.of(role).acknowledge({ id: `AwsSolutions-IAM5[Resource::${resource}]`, reason });
}

/** A resolved value as text. */
function named(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const [name, of] = Object.entries(value)[0] ?? [];
  if (name === 'Fn::Join') {
    const [separator, parts] = of as [string, unknown[]];
    return parts.map(named).join(separator);
  }
  if (name === 'Fn::GetAtt') return `<${(of as string[]).join('.')}>`;
  return name === 'Ref' ? `<${String(of)}>` : named(of);
}
