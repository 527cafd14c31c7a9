/**
 * "To allow your function time to process each batch of records, set the source queue's visibility timeout to at least six
 * times the configuration timeout on your function."
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
 */
import type { Rule } from './rule';
import { text } from './template';

export const rule: Rule = {
  check(template) {
    return template.of('AWS::Lambda::EventSourceMapping').flatMap(({ id, properties }) => {
      const queue = template.target(properties['EventSourceArn']);
      const runs = template.target(properties['FunctionName']);
      if (queue?.type !== 'AWS::SQS::Queue' || runs === undefined) return [];
      // Both have a default: 30 s and 3 s.
      const hidden = Number(text(queue.properties['VisibilityTimeout'] ?? 30));
      const timeout = Number(text(runs.properties['Timeout'] ?? 3));
      return hidden >= 6 * timeout
        ? []
        : [`${id}: ${queue.id} hides a message for ${hidden} s, ${runs.id} may run for ${timeout} s`];
    });
  },
};
