/**
 * "The `RuleName` dimension contains the name of the rule that specifies the action. The `ActionType` dimension contains
 * the type of action that was invoked."
 * https://docs.aws.amazon.com/iot/latest/developerguide/metrics_dimensions.html
 *
 * An alarm on a metric that nobody writes, or on one with fewer dimensions, stays silent for ever; it may be on one
 * metric, on a sum of several, or on a query of Metrics Insights, whose schema names the dimensions.
 */
import { dimensionsOf } from './metrics';
import type { Rule } from './rule';
import { at, list, text, type Value } from './template';

const QUERY = /SELECT\s+\w+\((\w+)\)\s+FROM\s+SCHEMA\("([^"]+)",\s*([^)]*)\)/;

interface Asked {
  readonly namespace: string;
  readonly metric: string;
  readonly dimensions: string;
}

const asked = (namespace: Value, metric: Value, dimensions: readonly string[]): Asked => ({
  namespace: text(namespace),
  metric: text(metric),
  dimensions: [...dimensions].sort().join(','),
});

/** The metrics of an alarm. */
function metricsOf(properties: { readonly [key: string]: Value }): Asked[] {
  const names = (dimensions: Value): string[] => list(dimensions).map((each) => text(at(each, 'Name')));
  if (properties['MetricName'] !== undefined) {
    return [asked(properties['Namespace'], properties['MetricName'], names(properties['Dimensions']))];
  }
  return list(properties['Metrics']).flatMap((each) => {
    const metric = at(each, 'MetricStat', 'Metric');
    if (metric !== undefined) {
      return [asked(at(metric, 'Namespace'), at(metric, 'MetricName'), names(at(metric, 'Dimensions')))];
    }
    const [, name, namespace, schema] = QUERY.exec(text(at(each, 'Expression'))) ?? [];
    return name === undefined
      ? []
      : [
          asked(
            namespace,
            name,
            (schema ?? '').split(',').map((part) => part.trim()),
          ),
        ];
  });
}

export const rule: Rule = {
  check(template) {
    return template.of('AWS::CloudWatch::Alarm').flatMap(({ id, properties }) => {
      const all = metricsOf(properties);
      if (all.length === 0) return [`${id} is on no metric that could be read`];
      return all.flatMap(({ namespace, metric, dimensions }) => {
        // The environment of a console's form is a parameter.
        const known = dimensionsOf(namespace, metric);
        if (known === undefined) return [`${id}: no metric ${metric} is known in ${namespace}; see rules/metrics.ts`];
        if (known.includes(dimensions)) return [];
        return [`${id}: ${namespace} ${metric} is written by ${known.join(' or by ')}, not by ${dimensions || 'none'}`];
      });
    });
  },
};
