/**
 * The metrics that alarms and graphs may be of, by namespace and name: under which dimensions somebody writes them. A
 * metric with other dimensions is another metric, which nobody writes.
 *
 * AWS's are read on the pages named; our own are those of etl/src/ingest/telemetry.rs and onboarding/src/telemetry.rs,
 * which a test compares. Extend it with the page beside it.
 */

/** Sets of dimensions, each sorted and joined by commas. */
type Dimensions = readonly string[];

export const METRICS: Readonly<Record<string, Readonly<Record<string, Dimensions>>>> = {
  // https://docs.aws.amazon.com/iot/latest/developerguide/metrics_dimensions.html
  'AWS/IoT': {
    TopicMatch: ['RuleName'],
    ParseError: ['RuleName'],
    RuleMessageThrottled: ['RuleName'],
    RuleNotFound: ['RuleName'],
    Success: ['ActionType,RuleName'],
    Failure: ['ActionType,RuleName'],
    ErrorActionSuccess: ['ActionType,RuleName'],
    ErrorActionFailure: ['ActionType,RuleName'],
  },
  // https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
  'AWS/Lambda': {
    Invocations: ['FunctionName', 'FunctionName,Resource'],
    Errors: ['FunctionName', 'FunctionName,Resource'],
    Throttles: ['FunctionName', 'FunctionName,Resource'],
    Duration: ['FunctionName', 'FunctionName,Resource'],
  },
  // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
  'AWS/SQS': {
    ApproximateNumberOfMessagesVisible: ['QueueName'],
    ApproximateAgeOfOldestMessage: ['QueueName'],
    NumberOfMessagesSent: ['QueueName'],
  },
  // https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html; those of REST APIs have other names
  'AWS/ApiGateway': {
    '4xx': ['ApiId', 'ApiId,Stage'],
    '5xx': ['ApiId', 'ApiId,Stage'],
    Count: ['ApiId', 'ApiId,Stage'],
    Latency: ['ApiId', 'ApiId,Stage'],
  },
  // Written by etl/src/ingest/telemetry.rs; the environment is behind the slash.
  'iotlake/*': {
    RecordsIn: ['Table'],
    RowsOut: ['Table'],
    Rejected: ['Table'],
    Freshness: ['Table'],
    ObjectsDone: ['Table'],
    ObjectsFailed: ['Table'],
    SourceConflicts: ['Table'],
  },
  // Written by onboarding/src/telemetry.rs.
  'iotlake/onboarding': {
    Onboarded: ['Environment'],
    Deleted: ['Environment'],
    Failed: ['Environment', 'Cause,Environment'],
    Duration: ['Environment,Operation'],
  },
};

/** What is known of a metric; `undefined` if it is not in the table. */
export function dimensionsOf(namespace: string, metric: string): Dimensions | undefined {
  const known = METRICS[namespace] ?? (namespace.startsWith('iotlake/') ? METRICS['iotlake/*'] : undefined);
  return known?.[metric];
}
