/**
 * A backfill with a poisoned batch: the execution fails and names what failed, all other batches are done, and once the
 * poison is gone the same prefix succeeds.
 *
 * What is put into the raw bucket for it holds no record, so that the lake gets receipts and no rows, but for the poison,
 * whose one record has no hour to go to. The objects are taken away again with all versions. The queue is told of them as
 * well, which is harmless: its message of the poison comes again when that is gone, and is done.
 */
import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import {
  DescribeExecutionCommand,
  DescribeMapRunCommand,
  paginateListMapRuns,
  StartExecutionCommand,
  type DescribeExecutionOutput,
} from '@aws-sdk/client-sfn';

import { unlessMissing } from '../../aws';
import { receiptKey } from '../../doctor/stages/receipts';
import { waitFor } from '../../waiting';
import type { Context } from '../context';

/** Two batches of ten at most, so that one of them has no poison. */
const GOOD = 11;

export async function backfill(context: Context): Promise<void> {
  const { environment, report, id } = context;
  const { s3 } = environment.aws;
  const Bucket = environment.output('rawBucketName');
  const prefix = `prove-${id}/`;
  // An hour that no dashboard shows; the key of the poison tells no hour.
  const good = Array.from({ length: GOOD }, (_, at) => `${prefix}2000/01/01/00/object-${String(at).padStart(2, '0')}`);
  const poison = `${prefix}poison`;
  const versions = new Map<string, string | undefined>();
  const remove = async (Key: string): Promise<void> => {
    const VersionId = versions.get(Key);
    versions.delete(Key);
    await s3.send(new DeleteObjectCommand({ Bucket, Key, ...(VersionId === undefined ? {} : { VersionId }) }));
  };
  try {
    for (const Key of [...good, poison]) {
      const Body = Key === poison ? '{"poison": true}\n' : '\n';
      const { VersionId } = await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
      versions.set(Key, VersionId);
    }
    const first = await run(context, prefix, `prove-${id}-1`);
    report.saw('backfill', `with the poison: ${said(first)}`);
    const listed = await counts(context, first);
    if (listed !== GOOD + 1) {
      return report.refuted('backfill', `${GOOD + 1} objects lie under ${prefix}, and the Map lists ${listed}`);
    }
    if (first?.status !== 'FAILED') {
      return report.refuted(
        'backfill',
        `an object that cannot be ingested leaves the execution ${first?.status ?? 'running'}`,
      );
    }
    const missing: string[] = [];
    for (const key of good) {
      const receipt = { Bucket: environment.output('lakeBucketName'), Key: receiptKey(environment, key) };
      if ((await unlessMissing(s3.send(new HeadObjectCommand(receipt)))) === undefined) missing.push(key);
    }
    report.saw('backfill', `receipts of the good objects: ${GOOD - missing.length} of ${GOOD}`);
    if (missing.length > 0) {
      return report.refuted('backfill', `one object that fails kept others from being ingested: ${missing.join(', ')}`);
    }
    await remove(poison);
    const second = await run(context, prefix, `prove-${id}-2`);
    report.saw('backfill', `without it: ${said(second)}`);
    if ((await counts(context, second)) !== GOOD || second?.status !== 'SUCCEEDED') {
      return report.refuted('backfill', `what can be ingested leaves the execution ${second?.status ?? 'running'}`);
    }
    report.proved('backfill');
  } finally {
    for (const key of [...versions.keys()]) await remove(key);
  }
}

/** Runs the state machine over a prefix, and waits for its end. */
async function run(context: Context, prefix: string, name: string): Promise<DescribeExecutionOutput | undefined> {
  const { environment, patience } = context;
  const stateMachineArn = environment.get('AWS::StepFunctions::StateMachine');
  const { sfn } = environment.aws;
  const input = JSON.stringify({ prefix });
  const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, name, input }));
  return waitFor(patience.run, async () => {
    const now = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    return now.status === 'RUNNING' ? undefined : now;
  });
}

const said = (execution: DescribeExecutionOutput | undefined): string =>
  [execution?.executionArn, execution?.status ?? 'not ended', execution?.error, execution?.cause]
    .filter((part) => part !== undefined)
    .join(', ');

/** Tells what the Map of an execution counted; out comes how many objects it had. */
async function counts(context: Context, execution: DescribeExecutionOutput | undefined): Promise<number> {
  if (execution?.executionArn === undefined) return 0;
  const { sfn } = context.environment.aws;
  let listed = 0;
  const asked = { executionArn: execution.executionArn };
  for await (const page of paginateListMapRuns({ client: sfn }, asked)) {
    for (const { mapRunArn } of page.mapRuns ?? []) {
      const { itemCounts, executionCounts } = await sfn.send(new DescribeMapRunCommand({ mapRunArn }));
      listed += itemCounts?.total ?? 0;
      context.report.saw(
        'backfill',
        `its Map: ${itemCounts?.total} objects in ${executionCounts?.total} batches, ${itemCounts?.succeeded} objects ` +
          `done, ${itemCounts?.failed} in batches that failed`,
      );
    }
  }
  return listed;
}
