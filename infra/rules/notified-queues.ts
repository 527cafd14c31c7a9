/**
 * "To grant Amazon S3 permissions to publish messages to the SNS topic or SQS queue, attach an AWS Identity and Access
 * Management (IAM) policy to the destination SNS topic or SQS queue."
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
 *
 * The policy also has to be there before the bucket, for S3 tries the queue when the notification is set.
 */
import type { Rule } from './rule';
import { at, list, statements } from './template';

export const rule: Rule = {
  check(template) {
    return template.of('AWS::S3::Bucket').flatMap(({ id, properties }) =>
      list(at(properties, 'NotificationConfiguration', 'QueueConfigurations')).flatMap((each) => {
        const queue = template.target(at(each, 'Queue'));
        if (queue === undefined) return [];
        if (at(queue.properties, 'KmsMasterKeyId') === 'alias/aws/sqs')
          return [`${id}: S3 cannot use the key of ${queue.id}`];
        const allowed = template
          .of('AWS::SQS::QueuePolicy')
          .filter((policy) => list(policy.properties['Queues']).some((named) => template.target(named) === queue))
          .flatMap((policy) => statements(policy.properties['PolicyDocument']))
          .some(
            ({ effect, services, actions }) =>
              effect === 'Allow' && services.includes('s3.amazonaws.com') && actions.includes('sqs:SendMessage'),
          );
        return allowed ? [] : [`${id}: S3 may not send to ${queue.id}`];
      }),
    );
  },
};
