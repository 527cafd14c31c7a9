/**
 * Somebody is told when it does not work: a topic with the contact, alarms, a budget, a dashboard.
 *
 * What must stay true: each alarm's metric is one that somebody writes, with these dimensions and no fewer, or the alarm
 * is silent for ever; and CloudWatch may publish to the topic, which a policy of the topic's own has to say.
 */
import {
  aws_budgets as budgets,
  aws_cloudwatch as cloudwatch,
  aws_cloudwatch_actions as actions,
  aws_iam as iam,
  aws_lambda as lambda,
  aws_sns as sns,
  aws_sns_subscriptions as subscriptions,
  Duration,
  Stack,
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

/** Codes of the onboarding service's failures that do not pass by themselves: see onboarding/README.md. */
const LASTING_CAUSES = ['TECHNICAL_ERROR_4', 'TECHNICAL_ERROR_5', 'TECHNICAL_ERROR_6'];

/** The topic of alarms; only TLS, this account's alarms, and the contact as subscriber. */
export function contactTopic(scope: Construct, id: string, settings: Settings): sns.Topic {
  const topic = new sns.Topic(scope, id, { enforceSSL: true });
  // The policy that asks for TLS takes the place of SNS's own, which let alarms publish.
  topic.addToResourcePolicy(
    new iam.PolicyStatement({
      sid: 'AlarmsOfThisAccount',
      principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(topic).account } },
    }),
  );
  if (settings.contactEmail !== '') topic.addSubscription(new subscriptions.EmailSubscription(settings.contactEmail));
  return topic;
}

export class Monitoring extends Construct {
  private readonly action: actions.SnsAction;

  constructor(scope: Construct, id: string, props: MonitoringProps) {
    super(scope, id);
    this.action = new actions.SnsAction(props.topic);
    const { settings, ingest, onboarding, rawDelivery } = props;
    const period = Duration.minutes(5);
    const of = (namespace: string, metricName: string, dimensionsMap: Record<string, string>, statistic = 'Sum') =>
      new cloudwatch.Metric({ namespace, metricName, dimensionsMap, statistic, period });
    const own = (metricName: string, statistic = 'Sum'): cloudwatch.Metric =>
      of(`iotlake/${settings.environment}`, metricName, { Table: settings.table }, statistic);
    const rule = (metricName: string): cloudwatch.Metric =>
      of('AWS/IoT', metricName, { RuleName: rawDelivery.rule.ref });
    // Those of actions are counted by type too, in words of which there is no list: the sum over all types is asked for.
    const ruleAction = (metricName: string): cloudwatch.MathExpression =>
      new cloudwatch.MathExpression({
        expression: `SELECT SUM(${metricName}) FROM SCHEMA("AWS/IoT", ActionType, RuleName) WHERE RuleName = '${rawDelivery.rule.ref}'`,
        label: metricName,
        usingMetrics: {},
        period,
      });
    const failures = (target: lambda.Function): cloudwatch.Metric => target.metricErrors({ period });
    const throttles = (target: lambda.Function): cloudwatch.Metric => target.metricThrottles({ period });
    const deadLetters = ingest.deadLetters.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum', period });
    // A request that failed was answered, so that the function's own errors say nothing of it.
    const answered5xx = of('AWS/ApiGateway', '5xx', { ApiId: onboarding.httpApi.apiId });
    const lasting = new cloudwatch.MathExpression({
      expression: LASTING_CAUSES.map((_, index) => `FILL(m${index}, 0)`).join(' + '),
      label: 'Failed for good',
      usingMetrics: Object.fromEntries(
        LASTING_CAUSES.map((Cause, index) => [
          `m${index}`,
          of('iotlake/onboarding', 'Failed', { Cause, Environment: settings.environment }),
        ]),
      ),
      period,
    });
    // Firehose waits before it delivers; beyond that and a minute rows are late.
    const late = settings.bufferSeconds + 60;
    const concurrency = 'The account has too few concurrent executions';

    this.alarm(
      'DeadLetters',
      deadLetters,
      0,
      'Objects could not be ingested: see docs/aws.md, "A message in the dead-letter queue"',
    );
    this.alarm(
      'RuleErrors',
      ruleAction('ErrorActionSuccess'),
      0,
      'The rule could not hand on messages; they lie under _rule-errors/',
    );
    this.alarm(
      'RuleErrorsLost',
      ruleAction('ErrorActionFailure'),
      0,
      'Messages that the rule could not hand on are lost',
    );
    this.alarm(
      'RuleParseErrors',
      rule('ParseError'),
      0,
      'Messages are no JSON; the rule drops them, and no error action sees them: see TROUBLESHOOTING.md, "No rows"',
    );
    this.alarm('RuleThrottles', rule('RuleMessageThrottled'), 0, 'More messages than the rule may take; some are lost');
    this.alarm('Freshness', own('Freshness', 'p90'), late, 'Rows are later than Firehose makes them', 3);
    this.alarm('Rejects', own('Rejected'), 100, 'Many records are rejected: query the table of rejects', 3);
    this.alarm('Conflicts', own('SourceConflicts'), 0, 'A raw object changed after it was ingested');
    this.alarm('IngestErrors', failures(ingest.function), 0, 'The function ingest fails', 3);
    this.alarm('IngestThrottles', throttles(ingest.function), 0, concurrency, 3);
    this.alarm('OnboardingErrors', answered5xx, 0, 'The onboarding API answers 5xx: the log of onboarding says why');
    this.alarm('OnboardingFaults', lasting, 0, 'Onboarding fails in a way that does not pass: see its log');
    this.alarm('OnboardingThrottles', throttles(onboarding.function), 0, concurrency);
    if (settings.monthlyDollars > 0) this.budget(settings.monthlyDollars, settings.contactEmail);

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
          graph(
            'Rule',
            rule('TopicMatch'),
            rule('ParseError'),
            rule('RuleMessageThrottled'),
            ruleAction('ErrorActionSuccess'),
            ruleAction('ErrorActionFailure'),
          ),
          graph('Errors', failures(ingest.function), answered5xx, lasting),
        ],
      ],
    });
  }

  private alarm(name: string, metric: cloudwatch.IMetric, above: number, why: string, periods = 1): void {
    new cloudwatch.Alarm(this, name, {
      metric,
      threshold: above,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: periods,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      alarmDescription: why,
    }).addAlarmAction(this.action);
  }

  /** What the account costs: CloudWatch knows it in us-east-1 alone, AWS Budgets everywhere. */
  private budget(dollars: number, address: string): void {
    const subscribers = [{ subscriptionType: 'EMAIL', address }];
    new budgets.CfnBudget(this, 'Budget', {
      // Without a name: whatever changes in it makes another, which cannot have the name of the one that is there.
      budget: {
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: dollars, unit: 'USD' },
      },
      notificationsWithSubscribers: ['ACTUAL', 'FORECASTED'].map((notificationType) => ({
        notification: { notificationType, comparisonOperator: 'GREATER_THAN', threshold: 100 },
        subscribers,
      })),
    });
  }
}
