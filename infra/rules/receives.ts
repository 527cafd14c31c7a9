/**
 * "Set the maxReceiveCount on the source queue's redrive policy to at least 5. This improves the chances of messages
 * being processed before reaching the DLQ."
 * https://docs.aws.amazon.com/lambda/latest/dg/sqs-retries.html
 *
 * A message also comes back without fault of its own: its batch ran out of time, or the function was throttled.
 */
import type { Rule } from './rule';
import { at, text } from './template';

export const rule: Rule = {
  check(template) {
    return template.of('AWS::Lambda::EventSourceMapping').flatMap(({ id, properties }) => {
      const queue = template.target(properties['EventSourceArn']);
      if (queue?.type !== 'AWS::SQS::Queue') return [];
      const most = at(queue.properties, 'RedrivePolicy', 'maxReceiveCount');
      if (most === undefined)
        return [`${id}: what ${queue.id} cannot deliver comes back until it is too old, and is lost`];
      return Number(text(most)) >= 5 ? [] : [`${id}: ${queue.id} gives a message up after ${text(most)} receives`];
    });
  },
};
