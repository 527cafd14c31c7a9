/**
 * What CloudWatch counted lately. A metric without a value is told as `-`: AWS makes a metric only when there is
 * something to count.
 */
import { GetMetricStatisticsCommand, type Statistic } from '@aws-sdk/client-cloudwatch';

import type { Environment } from './environment';

export interface Metric {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly statistic?: Statistic;
}

/** The hours that are looked back. */
export const HOURS = 24;

/** A metric over the last day: the sum of it, or the highest value if that is the statistic. */
export async function lately(environment: Environment, metric: Metric): Promise<number | undefined> {
  const statistic = metric.statistic ?? 'Sum';
  const end = environment.now();
  const { Datapoints = [] } = await environment.aws.cloudWatch.send(
    new GetMetricStatisticsCommand({
      Namespace: metric.namespace,
      MetricName: metric.name,
      Dimensions: Object.entries(metric.dimensions).map(([Name, Value]) => ({ Name, Value })),
      StartTime: new Date(end - HOURS * 3_600_000),
      EndTime: new Date(end),
      Period: 3_600,
      Statistics: [statistic],
    }),
  );
  const values = Datapoints.flatMap((point) => point[statistic as 'Sum' | 'Maximum'] ?? []);
  if (values.length === 0) return undefined;
  return statistic === 'Sum' ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
}

/** Several metrics of the same dimensions, as a fact: `TopicMatch 12, ParseError -`. */
export async function counts(
  environment: Environment,
  namespace: string,
  dimensions: Readonly<Record<string, string>>,
  names: readonly string[],
): Promise<string> {
  const values = await Promise.all(names.map(async (name) => lately(environment, { namespace, name, dimensions })));
  return names.map((name, index) => `${name} ${values[index] ?? '-'}`).join(', ');
}
