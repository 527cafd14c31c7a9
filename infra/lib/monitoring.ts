/**
 * Somebody is told when it does not work: a topic with the contact, alarms, a dashboard.
 */
import {
  aws_cloudwatch as cloudwatch,
  aws_cloudwatch_actions as actions,
  aws_lambda as lambda,
  aws_sns as sns,
  aws_sns_subscriptions as subscriptions,
  Duration,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';

import type { Ingest } from './ingest';
import type { Onboarding } from './onboarding';
import type { RawDelivery } from './raw-delivery';
import type { Settings } from './settings';

export interface MonitoringProps {
  readonly settings: Settings;
  readonly topic: sns.Topic;
  readonly rawDelivery: RawDelivery;
  readonly ingest: Ingest;
  readonly onboarding: Onboarding;
}

/** The topic of alarms; only TLS, and the contact as subscriber. */
export function contactTopic(scope: Construct, id: string, settings: Settings): sns.Topic {
  const topic = new sns.Topic(scope, id, { enforceSSL: true });
  if (settings.contactEmail !== '') topic.addSubscription(new subscriptions.EmailSubscription(settings.contactEmail));
  return topic;
}

export class Monitoring extends Construct {
  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    const { settings, ingest, onboarding, rawDelivery } = props;
    const period = Duration.minutes(5);
    const own = (metricName: string, statistic = 'Sum'): cloudwatch.Metric =>
      new cloudwatch.Metric({
        namespace: `iotlake/${settings.environment}`,
        metricName,
        dimensionsMap: { Table: settings.table },
        statistic,
        period,
      });
    const ruleMetric = (metricName: string): cloudwatch.Metric =>
      new cloudwatch.Metric({
        namespace: 'AWS/IoT',
        metricName,
        dimensionsMap: { RuleName: rawDelivery.rule.ref },
        statistic: 'Sum',
        period,
      });
    const of = (metric: 'Errors' | 'Throttles', target: lambda.Function): cloudwatch.Metric =>
      metric === 'Errors' ? target.metricErrors({ period }) : target.metricThrottles({ period });
    const action = new actions.SnsAction(props.topic);
    const alarm = (name: string, metric: cloudwatch.IMetric, above: number, why: string, periods = 1): void => {
      new cloudwatch.Alarm(this, name, {
        metric,
        threshold: above,
        comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluationPeriods: periods,
        treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        alarmDescription: why,
      }).addAlarmAction(action);
    };
    const deadLetters = ingest.deadLetters.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum', period });
    // Firehose waits before it delivers; beyond that and a minute rows are late.
    const late = settings.bufferSeconds + 60;
    alarm(
      'DeadLetters',
      deadLetters,
      0,
      'Objects could not be ingested: see docs/aws.md, "A message in the dead-letter queue"',
    );
    alarm(
      'RuleErrors',
      ruleMetric('ErrorActionSuccess'),
      0,
      'The rule could not hand on messages; they lie under _rule-errors/',
    );
    alarm('RuleErrorsLost', ruleMetric('ErrorActionFailure'), 0, 'Messages that the rule could not hand on are lost');
    alarm('Freshness', own('Freshness', 'p90'), late, 'Rows are later than Firehose makes them', 3);
    alarm('Rejects', own('Rejected'), 100, 'Many records are rejected: query the table of rejects', 3);
    alarm('Conflicts', own('SourceConflicts'), 0, 'A raw object changed after it was ingested');
    alarm('IngestErrors', of('Errors', ingest.function), 0, 'The function ingest fails', 3);
    alarm('IngestThrottles', of('Throttles', ingest.function), 0, 'The account has too few concurrent executions', 3);
    alarm('OnboardingErrors', of('Errors', onboarding.function), 0, 'The function onboarding fails');
    alarm(
      'OnboardingThrottles',
      of('Throttles', onboarding.function),
      0,
      'The account has too few concurrent executions',
    );
    if (settings.monthlyDollars > 0) {
      const charges = new cloudwatch.Metric({
        namespace: 'AWS/Billing',
        metricName: 'EstimatedCharges',
        dimensionsMap: { Currency: 'USD' },
        statistic: 'Maximum',
        period: Duration.hours(6),
      });
      alarm('Cost', charges, settings.monthlyDollars, 'The account costs more this month than was meant');
    }
    const graph = (title: string, ...left: cloudwatch.IMetric[]): cloudwatch.IWidget =>
      new cloudwatch.GraphWidget({ title, left, width: 12 });
    new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: `iotlake-${settings.environment}`,
      widgets: [
        [
          graph('Records', own('RecordsIn'), own('RowsOut'), own('Rejected')),
          graph('Freshness, s', own('Freshness', 'p90')),
        ],
        [graph('Objects', own('ObjectsDone'), own('ObjectsFailed')), graph('Dead letters', deadLetters)],
        [
          graph('Rule', ruleMetric('TopicMatch'), ruleMetric('ErrorActionSuccess')),
          graph('Errors', of('Errors', ingest.function), of('Errors', onboarding.function)),
        ],
      ],
    });
  }
}
