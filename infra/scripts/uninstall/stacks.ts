/**
 * Stacks as they are, and how one is deleted however often that was tried before.
 *
 * In comes the name of a stack; out come its resources, also those of stacks of that name that are gone already
 * (CloudFormation remembers them for 90 days), which is what makes a second run find what the first one left.
 *
 * What must stay true: a resource that cannot be deleted is left behind only if it is of a kind that {@link KEEPABLE}
 * names; any other failure stops the run with CloudFormation's reason.
 */
import {
  CloudFormationClient,
  DeleteStackCommand,
  DescribeStacksCommand,
  paginateDescribeStackEvents,
  paginateListStackResources,
  paginateListStacks,
  type Stack,
} from '@aws-sdk/client-cloudformation';

import { Failure, messageOf } from '../arguments';
import { waitFor, type Patience } from '../waiting';

/** A resource of a stack. */
export interface Resource {
  readonly logicalId: string;
  readonly physicalId: string;
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
}

/** A stack that is there. */
export interface LiveStack {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly outputs: ReadonlyMap<string, string>;
  readonly resources: readonly Resource[];
}

/**
 * Kinds of resources that may stay when they cannot be deleted: buckets that hold objects, and models of SiteWise with
 * assets that somebody made by hand. They are listed at the end.
 */
const KEEPABLE: ReadonlySet<string> = new Set(['AWS::S3::Bucket', 'AWS::IoTSiteWise::AssetModel']);

/** Deletions of a stack that are tried: emptied buckets fill again while Firehose delivers what it holds. */
const ATTEMPTS = 5;

/** The stack of this name, unless it is not there (any more). */
export async function find(client: CloudFormationClient, name: string): Promise<LiveStack | undefined> {
  const stack = await describe(client, name);
  if (stack?.StackId === undefined) return undefined;
  const resources: Resource[] = [];
  for await (const page of paginateListStackResources({ client }, { StackName: stack.StackId })) {
    for (const summary of page.StackResourceSummaries ?? []) {
      resources.push({
        logicalId: summary.LogicalResourceId ?? '',
        physicalId: summary.PhysicalResourceId ?? '',
        type: summary.ResourceType ?? '',
        status: summary.ResourceStatus ?? '',
        reason: summary.ResourceStatusReason,
      });
    }
  }
  const outputs = (stack.Outputs ?? []).map((output): [string, string] => [
    output.OutputKey ?? '',
    output.OutputValue ?? '',
  ]);
  return { id: stack.StackId, name, status: stack.StackStatus ?? '', outputs: new Map(outputs), resources };
}

/** What deleted stacks of this name had: each resource that ever was, with what became of it. */
export async function formerResources(client: CloudFormationClient, name: string): Promise<Resource[]> {
  const found = new Map<string, Resource>();
  const filter = { StackStatusFilter: ['DELETE_COMPLETE' as const] };
  for await (const page of paginateListStacks({ client }, filter)) {
    for (const summary of page.StackSummaries ?? []) {
      if (summary.StackName !== name || summary.StackId === undefined) continue;
      for (const resource of await history(client, summary.StackId)) {
        const key = `${resource.type} ${resource.physicalId}`;
        if (!found.has(key)) found.set(key, resource);
      }
    }
  }
  return [...found.values()];
}

/** The last event of each resource of a stack, the stack itself apart. */
async function history(client: CloudFormationClient, id: string): Promise<Resource[]> {
  const latest = new Map<string, Resource>();
  for await (const page of paginateDescribeStackEvents({ client }, { StackName: id })) {
    for (const event of page.StackEvents ?? []) {
      const physicalId = event.PhysicalResourceId ?? '';
      const key = `${event.LogicalResourceId} ${physicalId}`;
      // The newest comes first.
      if (physicalId === '' || physicalId === id || latest.has(key)) continue;
      latest.set(key, {
        logicalId: event.LogicalResourceId ?? '',
        physicalId,
        type: event.ResourceType ?? '',
        status: event.ResourceStatus ?? '',
        reason: event.ResourceStatusReason,
      });
    }
  }
  return [...latest.values()];
}

/** What is done about resources that could not be deleted; true if it is worth another try. */
export type Remedy = (failed: readonly Resource[]) => Promise<boolean>;

/** Deletes a stack. Answers with the resources that were left behind since they could not be deleted. */
export async function remove(
  client: CloudFormationClient,
  stack: LiveStack,
  patience: Patience,
  remedy: Remedy,
): Promise<Resource[]> {
  let retain: Resource[] = [];
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await requestDeletion(client, stack, retain);
    const status = await settled(client, stack.id, patience);
    if (status === 'DELETE_COMPLETE') return retain;
    const failed = (await find(client, stack.id))?.resources.filter(({ status: s }) => s === 'DELETE_FAILED') ?? [];
    const triesAgain = failed.length > 0 && (await remedy(failed)) && attempt < ATTEMPTS - 1;
    if (triesAgain) continue;
    const stuck = failed.filter(({ type }) => !KEEPABLE.has(type));
    if (stuck.length > 0 || failed.length === 0) throw cannotDelete(stack, status, stuck);
    retain = [...retain, ...failed];
  }
  throw cannotDelete(stack, 'DELETE_FAILED', retain);
}

/** A deletion that is under way already is joined rather than begun again. */
async function requestDeletion(
  client: CloudFormationClient,
  stack: LiveStack,
  retain: readonly Resource[],
): Promise<void> {
  const status = (await describe(client, stack.id))?.StackStatus;
  if (status === 'DELETE_IN_PROGRESS' || status === 'DELETE_COMPLETE' || status === undefined) return;
  const ids = retain.map(({ logicalId }) => logicalId);
  try {
    const retained = status === 'DELETE_FAILED' && ids.length > 0 ? { RetainResources: ids } : {};
    await client.send(new DeleteStackCommand({ StackName: stack.id, ...retained }));
  } catch (error) {
    const message = messageOf(error);
    if (!/termination ?protection/i.test(message)) throw error;
    throw new Failure(
      message,
      `aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name ${stack.name}`,
    );
  }
}

async function settled(client: CloudFormationClient, id: string, patience: Patience): Promise<string> {
  const status = await waitFor(patience, async () => {
    const now = (await describe(client, id))?.StackStatus ?? 'DELETE_COMPLETE';
    return now === 'DELETE_COMPLETE' || now === 'DELETE_FAILED' ? now : undefined;
  });
  if (status === undefined) {
    throw new Failure(`stack ${id} is still being deleted`, 'run the command again, it goes on from there');
  }
  return status;
}

async function describe(client: CloudFormationClient, nameOrId: string): Promise<Stack | undefined> {
  try {
    const { Stacks } = await client.send(new DescribeStacksCommand({ StackName: nameOrId }));
    return Stacks?.[0];
  } catch (error) {
    if (/does not exist/.test(messageOf(error))) return undefined;
    throw error;
  }
}

function cannotDelete(stack: LiveStack, status: string, stuck: readonly Resource[]): Failure {
  const reasons = stuck.map(
    ({ logicalId, type, physicalId, reason }) =>
      `\n  ${logicalId} (${type}, ${physicalId}): ${reason ?? 'no reason given'}`,
  );
  return new Failure(
    `stack ${stack.name} cannot be deleted (${status})${reasons.join('')}`,
    'mend what it names and run the command again, it goes on from there',
  );
}
