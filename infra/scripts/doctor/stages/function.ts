/**
 * The function `ingest`: whether it is there, is given the queue's messages, may run and may do what it needs, and what
 * it last failed at.
 */
import {
  GetFunctionConcurrencyCommand,
  GetFunctionConfigurationCommand,
  ListEventSourceMappingsCommand,
} from '@aws-sdk/client-lambda';

import { unlessMissing } from '../../aws';
import type { Environment } from '../environment';
import { lastLine } from '../log';
import type { Look, Stage } from '../look';
import { counts } from '../metrics';
import { mayDo } from '../roles';

export const ingest: Stage = {
  name: 'function',
  async examine(environment, look) {
    const FunctionName = environment.get('AWS::Lambda::Function', 'IngestFunction');
    const described = environment.aws.lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
    const found = await unlessMissing(described);
    if (found === undefined) return look.broken(`the function ${FunctionName} is gone`, 'deploy again');
    look.fact('function', `${FunctionName}, ${found.State ?? 'Active'}, changed ${found.LastModified}`);
    if (found.State === 'Failed' || found.State === 'Inactive') {
      look.broken(`the function is ${found.State}: ${found.StateReason ?? ''}`, 'deploy again');
    }
    if (found.LastUpdateStatus === 'Failed') {
      look.broken(`its last update failed: ${found.LastUpdateStatusReason ?? ''}`, 'deploy again');
    }
    const { IOTLAKE_LAKE = '', IOTLAKE_CATALOG = '' } = found.Environment?.Variables ?? {};
    const due = [`s3://${environment.output('lakeBucketName')}`, `glue:${environment.output('glueDbName')}`];
    if (IOTLAKE_LAKE !== due[0] || IOTLAKE_CATALOG !== due[1]) {
      look.broken(
        `the function writes to ${IOTLAKE_LAKE || 'no lake'} and ${IOTLAKE_CATALOG || 'no catalog'}, not to ${due.join(' and ')}`,
        'its variables were changed: deploy again',
      );
    }
    await messages(environment, look, FunctionName);
    if (found.Role !== undefined) await mayDo(environment, look, found.Role, needs(environment));
    const names = ['Invocations', 'Errors', 'Throttles'];
    look.fact('last 24 h', await counts(environment, 'AWS/Lambda', { FunctionName }, names));
    const line = await lastLine(environment, environment.get('AWS::Logs::LogGroup', 'IngestLog'), 'ERROR');
    if (line !== undefined) look.fact('last error', `${environment.ago(line.time)}: ${line.text}`);
  },
};

/** Whether messages of the queue reach the function, and whether it may run. */
async function messages(environment: Environment, look: Look, FunctionName: string): Promise<void> {
  const { lambda } = environment.aws;
  const { EventSourceMappings = [] } = await lambda.send(new ListEventSourceMappingsCommand({ FunctionName }));
  const queue = environment.get('AWS::SQS::Queue', 'IngestQueue').split('/').at(-1);
  const source = EventSourceMappings.find(({ EventSourceArn }) => EventSourceArn?.split(':').at(-1) === queue);
  if (source === undefined) {
    look.broken(`nothing hands the messages of the queue ${queue} to the function`, 'deploy again');
  } else {
    look.fact('event source', `${source.State}, ${source.LastProcessingResult ?? 'no result yet'}`);
    if (!['Enabled', 'Enabling', 'Updating', 'Creating'].includes(source.State ?? '')) {
      look.broken(
        `the event source of the function is ${source.State}: messages wait`,
        `aws lambda update-event-source-mapping --uuid ${source.UUID} --enabled`,
      );
    }
    if (source.FunctionResponseTypes?.includes('ReportBatchItemFailures') !== true) {
      look.broken(
        'one object that fails makes its whole batch come again',
        'deploy again: ReportBatchItemFailures is gone',
      );
    }
  }
  const concurrency = await lambda.send(new GetFunctionConcurrencyCommand({ FunctionName }));
  if (concurrency.ReservedConcurrentExecutions === 0) {
    look.broken(
      'the function may not run: its reserved concurrency is 0',
      `aws lambda delete-function-concurrency --function-name ${FunctionName}`,
    );
  }
}

/** What docs/aws.md lists, by resource. */
function needs(environment: Environment): Record<string, string[]> {
  const partition = environment.stack.id.split(':')[1];
  const [raw, lake] = ['rawBucketName', 'lakeBucketName'].map(
    (key) => `arn:${partition}:s3:::${environment.output(key)}`,
  );
  const { region, account } = environment;
  const at = (service: string, resource: string): string =>
    `arn:${partition}:${service}:${region}:${account}:${resource}`;
  const queue = environment.get('AWS::SQS::Queue', 'IngestQueue').split('/').at(-1) ?? '';
  const [database, table] = [environment.output('glueDbName'), environment.output('athenaTableName')];
  return {
    [`${raw}/2026/01/01/00/object`]: ['s3:GetObject'],
    [`${lake}/_iotlake/receipt`]: ['s3:GetObject', 's3:PutObject'],
    [at('sqs', queue)]: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
    [at('glue', `table/${database}/${table}`)]: [
      'glue:GetTable',
      'glue:CreateTable',
      'glue:UpdateTable',
      'glue:BatchCreatePartition',
    ],
  };
}
