/**
 * What lay there before: a Distributed Map over the raw objects of an hour, a day, a year, whatever the prefix says.
 *
 * In comes `{"prefix": "2026/03/01/"}`; the same function ingests, ten keys an invocation. Results go to a bucket.
 * Running it beside the queue is harmless.
 *
 * What must stay true: a batch that fails keeps no other from being done, and an execution in which one failed has
 * failed, with the word where the failed batches are named. It is then started again with the same prefix: what is done
 * has a receipt. A redrive would not do, for it begins at the state that failed, which is the last.
 */
import {
  aws_iam as iam,
  aws_lambda as lambda,
  aws_logs as logs,
  aws_s3 as s3,
  aws_stepfunctions as sfn,
  RemovalPolicy,
  Stack,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import type { Settings } from './settings';
import { acknowledgeWildcard } from './wildcards';

/** Where executions leave what became of each batch. */
const RESULTS = 'backfill';

export interface BackfillProps {
  readonly settings: Settings;
  readonly function: lambda.Function;
  readonly raw: s3.IBucket;
  readonly results: s3.IBucket;
}

/** The definition of the machine, in Amazon States Language. */
export function definition(names: { functionArn: string; raw: string; results: string; partition: string }): object {
  const { functionArn, raw, results, partition } = names;
  return {
    Comment: 'Ingests the raw objects under a prefix',
    QueryLanguage: 'JSONata',
    StartAt: 'Ingest',
    States: {
      Ingest: {
        Type: 'Map',
        Next: 'Count',
        MaxConcurrency: 8,
        // With fewer the others are stopped by the first that fails; whether one did is asked afterwards.
        ToleratedFailurePercentage: 100,
        ItemReader: {
          Resource: `arn:${partition}:states:::s3:listObjectsV2`,
          Arguments: { Bucket: raw, Prefix: '{% $states.input.prefix %}' },
        },
        ItemBatcher: { MaxItemsPerBatch: 10, BatchInput: { bucket: raw } },
        ItemProcessor: {
          ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
          StartAt: 'Batch',
          States: {
            Batch: {
              Type: 'Task',
              End: true,
              Resource: `arn:${partition}:states:::lambda:invoke`,
              Arguments: {
                FunctionName: functionArn,
                Payload: {
                  bucket: '{% $states.input.BatchInput.bucket %}',
                  // An empty key ends in a slash: a folder that a console made, which is no data.
                  objects: "{% [$states.input.Items[$substring(Key, -1) != '/'].{'key': Key}] %}",
                },
              },
              Output: '{% $states.result.Payload %}',
              Retry: [
                {
                  ErrorEquals: ['Lambda.TooManyRequestsException'],
                  IntervalSeconds: 5,
                  MaxAttempts: 10,
                  BackoffRate: 2,
                  MaxDelaySeconds: 120,
                  JitterStrategy: 'FULL',
                },
                { ErrorEquals: ['States.ALL'], IntervalSeconds: 10, MaxAttempts: 2, BackoffRate: 2 },
              ],
            },
          },
        },
        ResultWriter: {
          Resource: `arn:${partition}:states:::s3:putObject`,
          Arguments: { Bucket: results, Prefix: RESULTS },
        },
        Assign: { manifest: '{% $states.result.ResultWriterDetails %}' },
      },
      Count: {
        Type: 'Task',
        Next: 'AllDone',
        Resource: `arn:${partition}:states:::aws-sdk:sfn:describeMapRun`,
        Arguments: { MapRunArn: '{% $states.input.MapRunArn %}' },
        Output: {
          objects: '{% $states.result.ItemCounts.Total %}',
          failed: '{% $states.result.ItemCounts.Total - $states.result.ItemCounts.Succeeded %}',
        },
        Retry: [{ ErrorEquals: ['States.ALL'], IntervalSeconds: 5, MaxAttempts: 5, BackoffRate: 2 }],
      },
      AllDone: {
        Type: 'Choice',
        Choices: [{ Condition: '{% $states.input.failed = 0 %}', Next: 'Done' }],
        Default: 'SomeFailed',
      },
      Done: { Type: 'Succeed' },
      SomeFailed: {
        Type: 'Fail',
        Error: 'ObjectsFailed',
        Cause:
          "{% $string($states.input.failed) & ' of ' & $string($states.input.objects) & ' objects are in batches that failed; the manifest s3://' & $manifest.Bucket & '/' & $manifest.Key & ' names the files with each batch and its error. Mend the cause, then start again with the same prefix' %}",
      },
    },
  };
}

export class Backfill extends Construct {
  readonly stateMachine: sfn.CfnStateMachine;

  constructor(scope: Construct, id: string, props: BackfillProps) {
    super(scope, id);
    const stack = Stack.of(this);
    const name = `iotlake-backfill-${props.settings.environment}`;
    const log = new logs.LogGroup(this, 'Log', {
      logGroupName: `/aws/vendedlogs/states/${name}`,
      retention: props.settings.logDays as logs.RetentionDays,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const colon = (kind: string, rest: string): string =>
      `arn:${stack.partition}:states:${stack.region}:${stack.account}:${kind}:${rest}`;
    const role = new iam.Role(this, 'Role', {
      assumedBy: new iam.ServicePrincipal('states.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
      }),
    });
    const allow = (actions: string[], resources: string[]): void => {
      role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
    };
    allow(['lambda:InvokeFunction'], [props.function.functionArn]);
    allow(['s3:ListBucket'], [props.raw.bucketArn]);
    allow(
      ['s3:GetObject', 's3:PutObject', 's3:ListMultipartUploadParts', 's3:AbortMultipartUpload'],
      [props.results.arnForObjects(`${RESULTS}/*`)],
    );
    acknowledgeWildcard(role, props.results.arnForObjects(`${RESULTS}/*`), 'Results are named by their run');
    allow(['states:StartExecution'], [colon('stateMachine', name)]);
    allow(['states:RedriveExecution'], [colon('execution', `${name}/*`)]);
    const mapRuns = colon('mapRun', `${name}/*`);
    allow(['states:DescribeMapRun'], [mapRuns]);
    acknowledgeWildcard(role, mapRuns, 'The Map of a run gets its name when it begins');
    allow(
      ['states:DescribeExecution', 'states:StopExecution'],
      [colon('execution', `${name}:*`), colon('execution', `${name}/*`)],
    );
    for (const runs of [colon('execution', `${name}:*`), colon('execution', `${name}/*`)]) {
      acknowledgeWildcard(role, runs, 'Runs get their names when they begin');
    }
    // Deliveries of logs and traces belong to no resource that could be named.
    allow(
      [
        'logs:CreateLogDelivery',
        'logs:GetLogDelivery',
        'logs:UpdateLogDelivery',
        'logs:DeleteLogDelivery',
        'logs:ListLogDeliveries',
        'logs:PutResourcePolicy',
        'logs:DescribeResourcePolicies',
        'logs:DescribeLogGroups',
        'xray:PutTraceSegments',
        'xray:PutTelemetryRecords',
        'xray:GetSamplingRules',
        'xray:GetSamplingTargets',
      ],
      ['*'],
    );
    acknowledgeWildcard(role, '*', 'Deliveries of logs and traces belong to no resource that could be named');
    this.stateMachine = new sfn.CfnStateMachine(this, 'Machine', {
      stateMachineName: name,
      roleArn: role.roleArn,
      definitionString: stack.toJsonString(
        definition({
          functionArn: props.function.functionArn,
          raw: props.raw.bucketName,
          results: props.results.bucketName,
          partition: stack.partition,
        }),
      ),
      loggingConfiguration: {
        level: 'ALL',
        includeExecutionData: false,
        destinations: [{ cloudWatchLogsLogGroup: { logGroupArn: log.logGroupArn } }],
      },
      tracingConfiguration: { enabled: true },
    });
    this.stateMachine.node.addDependency(role.node.findChild('DefaultPolicy'));
  }
}
