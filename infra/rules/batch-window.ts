/**
 * "For streams and Amazon SQS event sources, when you set `BatchSize` to a value greater than 10, you must set
 * `MaximumBatchingWindowInSeconds` to at least 1."
 * https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
 */
import type { Rule } from './rule';
import { text } from './template';

export const rule: Rule = {
  check(template) {
    return template
      .of('AWS::Lambda::EventSourceMapping')
      .filter(({ properties }) => Number(text(properties['BatchSize'] ?? 10)) > 10)
      .filter(({ properties }) => !(Number(text(properties['MaximumBatchingWindowInSeconds'] ?? 0)) >= 1))
      .map(({ id }) => `${id} has batches of more than ten, and no time to gather them`);
  },
};
