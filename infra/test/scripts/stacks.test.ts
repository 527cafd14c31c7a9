/** Deleting a stack that does not want to go, with answers as CloudFormation gives them. */
import {
  CloudFormationClient,
  DeleteStackCommand,
  DescribeStacksCommand,
  ListStackResourcesCommand,
} from '@aws-sdk/client-cloudformation';

import { Failure } from '../../scripts/arguments';
import { remove, type LiveStack, type Resource } from '../../scripts/uninstall/stacks';

const QUICK = { every: 1, atMost: 1_000 };
const ID = 'arn:aws:cloudformation:eu-west-1:123456789012:stack/iotlake-int/5a5fe690';
const STACK: LiveStack = { id: ID, name: 'iotlake-int', status: 'CREATE_COMPLETE', outputs: new Map(), resources: [] };

const FULL_BUCKET = {
  LogicalResourceId: 'Raw',
  PhysicalResourceId: 'iotlake-int-raw-1abc',
  ResourceType: 'AWS::S3::Bucket',
  ResourceStatus: 'DELETE_FAILED',
  ResourceStatusReason:
    'The bucket you tried to delete is not empty. You must delete all versions in the bucket. (Service: S3, Status Code: 409)',
};
const ATTACHED_POLICY = {
  LogicalResourceId: 'Policy',
  PhysicalResourceId: 'iotlake-device-int',
  ResourceType: 'AWS::IoT::Policy',
  ResourceStatus: 'DELETE_FAILED',
  ResourceStatusReason: 'Cannot delete the policy because it is attached to one or more principals (Service: Iot)',
};
const LOCKED_ROLE = {
  LogicalResourceId: 'Role',
  PhysicalResourceId: 'iotlake-int-Role',
  ResourceType: 'AWS::IAM::Role',
  ResourceStatus: 'DELETE_FAILED',
  ResourceStatusReason: 'API: iam:DeleteRole User is not authorized to perform: iam:DeleteRole',
};

/** CloudFormation with a stack whose deletions fail in turn as `rounds` say, and then succeed. */
function cloudFormation(rounds: (typeof FULL_BUCKET)[][]): { client: CloudFormationClient; retained: string[][] } {
  const retained: string[][] = [];
  let failed: (typeof FULL_BUCKET)[] = [];
  let status = 'CREATE_COMPLETE';
  const client = new CloudFormationClient({ region: 'eu-west-1' });
  client.middlewareStack.add(
    (_next, context) =>
      async ({ input }) => {
        const metadata = { $metadata: {} };
        const respond = (output: object) => ({ output: { ...metadata, ...output }, response: {} }) as never;
        switch (context.commandName) {
          case DeleteStackCommand.name:
            if (status !== 'DELETE_FAILED' && 'RetainResources' in input)
              throw new Error('only of a DELETE_FAILED stack');
            retained.push((input as { RetainResources?: string[] }).RetainResources ?? []);
            failed = rounds.shift() ?? [];
            status = failed.length > 0 ? 'DELETE_FAILED' : 'DELETE_COMPLETE';
            return respond({});
          case DescribeStacksCommand.name:
            return respond({ Stacks: [{ StackId: ID, StackName: 'iotlake-int', StackStatus: status }] });
          case ListStackResourcesCommand.name:
            return respond({ StackResourceSummaries: failed });
          default:
            throw new Error(`${context.commandName} was not expected`);
        }
      },
    { step: 'initialize' },
  );
  return { client, retained };
}

const giveUp = async (): Promise<boolean> => Promise.resolve(false);

test('a bucket that holds objects is left behind, and named', async () => {
  const { client, retained } = cloudFormation([[FULL_BUCKET]]);
  const left = await remove(client, STACK, QUICK, giveUp);
  expect(left.map(({ physicalId }) => physicalId)).toEqual(['iotlake-int-raw-1abc']);
  expect(left[0]?.reason).toContain('not empty');
  expect(retained).toEqual([[], ['Raw']]);
});

test('a bucket that Firehose fills again is emptied again', async () => {
  const { client, retained } = cloudFormation([[FULL_BUCKET], [FULL_BUCKET]]);
  const emptied: Resource[][] = [];
  const left = await remove(client, STACK, QUICK, async (failed) => {
    emptied.push([...failed]);
    return Promise.resolve(true);
  });
  expect(left).toEqual([]);
  expect(emptied).toHaveLength(2);
  expect(retained).toEqual([[], [], []]);
});

test('a policy that stays attached stops it, with the reason', async () => {
  const { client } = cloudFormation(Array.from({ length: 9 }, () => [ATTACHED_POLICY]));
  const deletion = remove(client, STACK, QUICK, async () => Promise.resolve(true));
  await expect(deletion).rejects.toThrow(/Policy \(AWS::IoT::Policy, iotlake-device-int\): Cannot delete the policy/);
});

test('what may not be kept is no silent leftover, even beside a bucket', async () => {
  const { client } = cloudFormation([[FULL_BUCKET, LOCKED_ROLE]]);
  const deletion = remove(client, STACK, QUICK, giveUp);
  await expect(deletion).rejects.toThrow(Failure);
  await expect(deletion).rejects.toThrow(/^stack iotlake-int cannot be deleted \(DELETE_FAILED\)\n {2}Role/);
});

test('a deletion that is done already is not begun again', async () => {
  const { client, retained } = cloudFormation([]);
  await remove(client, STACK, QUICK, giveUp);
  await remove(client, STACK, QUICK, giveUp);
  expect(retained).toHaveLength(1);
});
