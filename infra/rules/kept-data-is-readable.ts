/**
 * "After completing this operation, you no longer have access to the tables (and all table versions and partitions that
 * might belong to the tables) and the user-defined functions in the deleted database."
 * https://docs.aws.amazon.com/glue/latest/webapi/API_DeleteDatabase.html
 *
 * Whoever keeps the buckets of data when the stack goes keeps what makes them readable too: the catalog, the keys, the
 * records of devices. A database that goes takes the engine's tables along, which no template names.
 */
import type { Rule } from './rule';

const MAKES_READABLE = [
  'AWS::Glue::Database',
  'AWS::Glue::Table',
  'AWS::KMS::Key',
  'AWS::DynamoDB::GlobalTable',
  'AWS::DynamoDB::Table',
  'AWS::Cognito::UserPool',
];

export const rule: Rule = {
  check(template) {
    const keeps = template.of('AWS::S3::Bucket').some(({ deletionPolicy }) => deletionPolicy.startsWith('Retain'));
    if (!keeps) return [];
    return template
      .of(...MAKES_READABLE)
      .filter(({ deletionPolicy }) => !deletionPolicy.startsWith('Retain'))
      .map(({ id, type }) => `${id} (${type}) goes with the stack, while buckets of data stay`);
  },
};
