/**
 * Takes an environment away: what would be done, and doing it.
 *
 * In comes the name of an environment; out come, in this order, the pipeline (so that nothing deploys again), the flow
 * of messages, the identities of devices, the contents of buckets if that was asked for, the dashboards, the stack
 * itself, and a list of what remains.
 *
 * What must stay true: every step asks AWS what is there instead of remembering, so a run that died is completed by the
 * next, and a run after the last one only lists what remains.
 */
import { DisableTopicRuleCommand } from '@aws-sdk/client-iot';

import { unlessMissing, type Aws } from '../aws';
import type { Patience } from '../waiting';
import * as buckets from './buckets';
import { findFleet, offboard, type Fleet } from './devices';
import * as remains from './remains';
import * as stacks from './stacks';

/** What is to be taken away. */
export interface Request {
  readonly environment: string;
  /** Whether what holds data goes too: objects with all versions, and what the stacks would keep. */
  readonly deletesData: boolean;
  /** Tables of devices that no stack of ours made, such as the quickstart's. */
  readonly tables: readonly string[];
}

/** How long to wait for what, in milliseconds. */
export interface Patiences {
  /** For a stack. */
  readonly stack: Patience;
  /** For IoT Core to believe that something is detached. */
  readonly detached: Patience;
  /** Before a policy is deleted again, when IoT Core believes it attached. */
  readonly policy: number;
}

/** An hour for a stack, since QuickSight and Cognito's domain are slow; five minutes are AWS's own figure for policies. */
export const PATIENCES: Patiences = {
  stack: { every: 5_000, atMost: 3_600_000 },
  detached: { every: 1_000, atMost: 60_000 },
  policy: 75_000,
};

/** How CloudFormation calls a table; the second is what CDK's newer construct makes, also in one region. */
const TABLE_TYPES = ['AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable'];

/** The names of an environment's stacks, in the order in which they go. */
export function stackNames(environment: string): readonly string[] {
  return [`iotlake-pipeline-${environment}`, `iotlake-dashboards-${environment}`, `iotlake-${environment}`];
}

/** What there is to take away. */
export interface Survey {
  /** Stacks that are there, in the order in which they go, with the clients of their region. */
  readonly live: readonly { readonly stack: stacks.LiveStack; readonly aws: Aws }[];
  /** What stacks that are gone had, with the clients of their region. */
  readonly former: readonly { readonly resources: readonly stacks.Resource[]; readonly aws: Aws }[];
  readonly fleet: Fleet;
}

/** Looks at what there is. Changes nothing. */
export async function survey(aws: Aws, dashboards: Aws, request: Request): Promise<Survey> {
  const live = [];
  const former = [];
  for (const name of stackNames(request.environment)) {
    const client = name.startsWith('iotlake-dashboards-') ? dashboards : aws;
    const stack = await stacks.find(client.cloudFormation, name);
    if (stack !== undefined) live.push({ stack, aws: client });
    former.push({ resources: await stacks.formerResources(client.cloudFormation, name), aws: client });
  }
  const resources = live.flatMap(({ stack }) => stack.resources);
  const tables = TABLE_TYPES.flatMap((type) => ids(resources, type)).concat(request.tables);
  const fleet = await findFleet(aws.iot, aws.dynamoDb, ids(resources, 'AWS::IoT::Policy'), tables);
  return { live, former, fleet };
}

/** What would be done, line by line. */
export async function plan(found: Survey, request: Request): Promise<string[]> {
  const lines: string[] = [];
  for (const { stack, aws } of found.live) {
    for (const rule of ids(stack.resources, 'AWS::IoT::TopicRule')) lines.push(`disable the rule ${rule}`);
    for (const bucket of ids(stack.resources, 'AWS::S3::Bucket')) {
      const isEmpty = await buckets.isEmpty(aws.s3, bucket);
      if (isEmpty) continue;
      const empties = stack.resources.some(({ type }) => type === 'Custom::S3AutoDeleteObjects');
      if (request.deletesData) lines.push(`EMPTY the bucket ${bucket}, with all versions`);
      else if (empties) lines.push(`bucket ${bucket} is not empty; its stack may empty and delete it`);
      else lines.push(`leave the bucket ${bucket}, which is not empty (--delete-data empties and deletes it)`);
    }
  }
  const { certificateArns, recorded } = found.fleet;
  if (certificateArns.length + recorded.length > 0) {
    lines.push(`OFFBOARD ${certificateArns.length} certificates and ${recorded.length} recorded devices:`);
    lines.push(...recorded.map(({ thing }) => `  ${thing}`));
    const known = new Set(recorded.map(({ certificateArn }) => certificateArn));
    const others = certificateArns.filter((arn) => !known.has(arn));
    lines.push(...others.map((arn) => `  ${arn} (attached to the policy, not recorded)`));
  }
  lines.push(
    ...found.live.map(
      ({ stack }) => `delete the stack ${stack.name} (${stack.status}, ${stack.resources.length} resources)`,
    ),
  );
  if (request.deletesData)
    lines.push('DELETE what the stacks would keep: buckets, tables, user pools, log groups; keys after 30 days');
  return lines;
}

/** Does it. Every step is told through `say`. Answers with what remains. */
export async function run(
  aws: Aws,
  dashboards: Aws,
  request: Request,
  say: (line: string) => void,
  patiences: Patiences = PATIENCES,
): Promise<remains.Remain[]> {
  const found = await survey(aws, dashboards, request);
  const [pipelineName] = stackNames(request.environment);
  for (const each of found.live.filter(({ stack }) => stack.name === pipelineName)) {
    await removeStack(each, request, say, patiences);
  }
  const rest = found.live.filter(({ stack }) => stack.name !== pipelineName);
  for (const { stack } of rest) {
    for (const ruleName of ids(stack.resources, 'AWS::IoT::TopicRule')) {
      await unlessGone(aws.iot.send(new DisableTopicRuleCommand({ ruleName })));
      say(`rule ${ruleName} disabled`);
    }
  }
  if (found.fleet.certificateArns.length + found.fleet.recorded.length > 0) {
    const done = await offboard(aws.iot, aws.dynamoDb, found.fleet, patiences.detached);
    say(`offboarded: ${done.certificates} certificates, ${done.things} things, ${done.records} records`);
    for (const thing of done.keptThings) say(`thing ${thing} stays: a certificate that is not ours is attached`);
  }
  for (const each of rest) await removeStack(each, request, say, patiences);
  return whatRemains(aws, dashboards, request, found);
}

/** What remains, after data that stacks kept is removed if that was asked for. */
async function whatRemains(aws: Aws, dashboards: Aws, request: Request, found: Survey): Promise<remains.Remain[]> {
  const all: remains.Remain[] = [];
  for (const client of new Set([aws, dashboards])) {
    const resources = [
      ...found.live.filter((each) => each.aws === client).flatMap(({ stack }) => stack.resources),
      ...found.former.filter((each) => each.aws === client).flatMap((each) => each.resources),
    ];
    if (request.deletesData) await remains.remove(client, resources);
    all.push(...(await remains.find(client, resources)));
  }
  return all;
}

async function removeStack(
  { stack, aws }: { stack: stacks.LiveStack; aws: Aws },
  request: Request,
  say: (line: string) => void,
  patiences: Patiences,
): Promise<void> {
  const emptyAll = async (names: readonly string[]): Promise<void> => {
    for (const bucket of names) {
      const removed = await buckets.empty(aws.s3, bucket);
      if (removed > 0) say(`bucket ${bucket} emptied: ${removed} versions and markers`);
    }
  };
  if (request.deletesData) await emptyAll(ids(stack.resources, 'AWS::S3::Bucket'));
  say(`deleting stack ${stack.name}`);
  const left = await stacks.remove(aws.cloudFormation, stack, patiences.stack, async (failed) => {
    const full = ids(failed, 'AWS::S3::Bucket');
    const policies = ids(failed, 'AWS::IoT::Policy');
    if (request.deletesData) await emptyAll(full);
    if (policies.length > 0) {
      say(`policy ${policies.join(', ')}: IoT Core still believes it attached; waiting`);
      await new Promise((resolve) => setTimeout(resolve, patiences.policy));
    }
    return policies.length > 0 || (request.deletesData && full.length > 0);
  });
  say(`stack ${stack.name} deleted`);
  for (const { physicalId, reason } of left) say(`left behind: ${physicalId}: ${reason ?? 'no reason given'}`);
}

function ids(resources: readonly stacks.Resource[], type: string): string[] {
  const gone = new Set(['DELETE_COMPLETE', 'DELETE_SKIPPED']);
  const named = resources.filter((each) => each.type === type && each.physicalId !== '' && !gone.has(each.status));
  return named.map(({ physicalId }) => physicalId).sort();
}

/** A rule that is not there is refused as unauthorized, like everything that one may not know of. */
async function unlessGone(answer: Promise<unknown>): Promise<void> {
  try {
    await unlessMissing(answer);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'UnauthorizedException') throw error;
  }
}
