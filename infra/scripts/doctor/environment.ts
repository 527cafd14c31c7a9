/**
 * The deployment that is looked at: its stacks, what they made, and when it is looked at.
 *
 * Resources are found by their type and the beginning of their logical name, which is that of the construct in `lib/`.
 */
import { Failure } from '../arguments';
import type { Aws } from '../aws';
import { stackOf } from '../deployed';
import { find, type LiveStack } from '../uninstall/stacks';

/** The parts of a deployment that stages name. */
export class Environment {
  /** Account and region, which the stack's own ARN tells. */
  readonly account: string;
  readonly region: string;

  constructor(
    readonly name: string,
    readonly aws: Aws,
    readonly stack: LiveStack,
    readonly dashboards: LiveStack | undefined,
    /** The time, in milliseconds: how old something is depends on it. */
    readonly now: () => number = Date.now,
  ) {
    const [, , , region = '', account = ''] = stack.id.split(':');
    this.account = account;
    this.region = region;
  }

  /** The name of the one resource of a type whose logical name begins so; nothing if the stack does not have it. */
  find(type: string, logical = ''): string | undefined {
    return this.all(type, logical)[0];
  }

  /** The same, of a resource that every deployment has. */
  get(type: string, logical = ''): string {
    const found = this.find(type, logical);
    if (found !== undefined) return found;
    throw new Failure(
      `stack ${this.stack.name} has no ${type} ${logical}`.trimEnd(),
      'did its deployment end? aws cloudformation describe-stack-events names what failed; deploy it again',
    );
  }

  /** The names of all resources of a type whose logical name begins so. */
  all(type: string, logical = ''): string[] {
    const found = this.stack.resources.filter((each) => each.type === type && each.logicalId.startsWith(logical));
    return found.map(({ physicalId }) => physicalId).filter((id) => id !== '');
  }

  /** An output of the stack; empty if it has none of that name. */
  output(key: string): string {
    return this.stack.outputs.get(key) ?? '';
  }

  /** How long ago something was, for people; `never` if it was not. */
  ago(time: Date | undefined): string {
    if (time === undefined) return 'never';
    const minutes = Math.max(0, Math.round((this.now() - time.getTime()) / 60_000));
    if (minutes < 120) return `${minutes} min ago`;
    return minutes < 2 * 1_440 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1_440)} days ago`;
  }
}

/** Finds an environment's stacks; a failure if there is none of that name. */
export async function environmentOf(aws: Aws, name: string, now: () => number = Date.now): Promise<Environment> {
  const stack = await stackOf(aws, name);
  const dashboards = await find(aws.cloudFormation, `iotlake-dashboards-${name}`);
  return new Environment(name, aws, stack, dashboards, now);
}
