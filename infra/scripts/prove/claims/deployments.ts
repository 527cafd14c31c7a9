/**
 * What the stack's own history tells: how long the first deployment took, and whether `init` ran after the function last
 * changed.
 */
import { paginateDescribeStackEvents, type StackEvent } from '@aws-sdk/client-cloudformation';

import type { Context } from '../context';
import type { Report } from '../report';

export async function deployments({ environment, report }: Context): Promise<void> {
  const events: StackEvent[] = [];
  const client = environment.aws.cloudFormation;
  for await (const page of paginateDescribeStackEvents({ client }, { StackName: environment.stack.id })) {
    events.push(...(page.StackEvents ?? []));
  }
  firstDeployment(events, environment.stack.id, report);
  initAfterUpgrade(events, report);
}

const time = ({ Timestamp }: StackEvent): number => Timestamp?.getTime() ?? 0;

/** From the first event of a stack to the one that says that it is complete. */
export function firstDeployment(events: readonly StackEvent[], id: string, report: Report): void {
  const own = events.filter(({ PhysicalResourceId }) => PhysicalResourceId === id);
  const of = (status: string): StackEvent | undefined =>
    own.filter(({ ResourceStatus }) => ResourceStatus === status).sort((one, other) => time(one) - time(other))[0];
  // A stack that CDK makes is reviewed first.
  const [begun, ended] = [of('CREATE_IN_PROGRESS') ?? of('REVIEW_IN_PROGRESS'), of('CREATE_COMPLETE')];
  if (begun === undefined || ended === undefined) {
    return report.skipped('first-deployment', "CloudFormation's history does not go back to it");
  }
  const seconds = Math.round((time(ended) - time(begun)) / 1_000);
  report.proved('first-deployment', `${seconds} s, from ${begun.Timestamp?.toISOString()} on`);
}

/** Whether the custom resource that runs `init` was called after the function was changed. */
export function initAfterUpgrade(events: readonly StackEvent[], report: Report): void {
  const newest = (logical: RegExp, status: RegExp): StackEvent | undefined =>
    events
      .filter(
        ({ LogicalResourceId = '', ResourceStatus = '' }) =>
          logical.test(LogicalResourceId) && status.test(ResourceStatus),
      )
      .sort((one, other) => time(other) - time(one))[0];
  const changed = newest(/^IngestFunction/, /^UPDATE_COMPLETE$/);
  if (changed === undefined) {
    return report.skipped(
      'init-on-upgrade',
      'the function was never upgraded: deploy a newer release, then prove again',
    );
  }
  const called = newest(/^InitCall/, /^(CREATE|UPDATE)_COMPLETE$/);
  report.saw('init-on-upgrade', `the function was upgraded ${changed.Timestamp?.toISOString()}`);
  report.saw('init-on-upgrade', `init ran ${called?.Timestamp?.toISOString() ?? 'never'}`);
  if (called !== undefined && time(called) >= time(changed)) return report.proved('init-on-upgrade');
  report.refuted(
    'init-on-upgrade',
    'the last upgrade of the function did not run init: invoke it with {"init": true} by hand; new columns and views wait for it',
  );
}
