/**
 * A template as it may be deployed: references become names and ARNs, so that a simulator of IAM can read its policies.
 *
 * What is made up is the account, the region, and the names that CloudFormation would have given.
 */
import { at, text, type Resource, type Template, type Value } from '../../rules/template';

export const ACCOUNT = '111122223333';
export const REGION = 'eu-west-1';

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': REGION,
  'AWS::AccountId': ACCOUNT,
  'AWS::URLSuffix': 'amazonaws.com',
};

const arn = (service: string, rest: string): string => `arn:aws:${service}:${REGION}:${ACCOUNT}:${rest}`;

/** The ARN of a resource, by its type. */
const ARNS: Readonly<Record<string, (name: string) => string>> = {
  'AWS::S3::Bucket': (name) => `arn:aws:s3:::${name.toLowerCase()}`,
  'AWS::Lambda::Function': (name) => arn('lambda', `function:${name}`),
  'AWS::SQS::Queue': (name) => arn('sqs', name),
  'AWS::SNS::Topic': (name) => arn('sns', name),
  'AWS::DynamoDB::GlobalTable': (name) => arn('dynamodb', `table/${name}`),
  'AWS::KMS::Key': () => arn('kms', 'key/0a1b2c3d-0000-4000-8000-000000000000'),
  'AWS::Logs::LogGroup': (name) => arn('logs', `log-group:${name}:*`),
  'AWS::Cognito::UserPool': () => arn('cognito-idp', `userpool/${REGION}_Example01`),
  'AWS::SecretsManager::Secret': (name) => arn('secretsmanager', `secret:${name}-AbCdEf`),
  'AWS::KinesisFirehose::DeliveryStream': (name) => arn('firehose', `deliverystream/${name}`),
  'AWS::CodeBuild::Project': (name) => arn('codebuild', `project/${name}`),
  'AWS::IAM::Role': (name) => `arn:aws:iam::${ACCOUNT}:role/${name}`,
};
/** Types whose `Ref` is their ARN. */
const REF_IS_ARN = ['AWS::SNS::Topic', 'AWS::SecretsManager::Secret'];

const arnOf = ({ type, id }: Resource): string => {
  const make = ARNS[type];
  if (make === undefined) throw new Error(`test/permissions/concrete.ts knows no ARN of a ${type} (${id})`);
  return make(id);
};

/** The ARN of the one resource whose logical id, without CDK's digest, is this. */
export function arnNamed(template: Template, plain: string): string {
  const found = template.resources.filter(({ id, type }) => id.replace(/[0-9A-F]{8}$/, '') === plain && type in ARNS);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} resources are called ${plain}`);
  return arnOf(found[0]);
}

/** A value of the template with every reference filled in. */
export function concrete(template: Template, value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return (value as Value[]).map((each) => concrete(template, each));
  const ref = at(value, 'Ref');
  if (typeof ref === 'string') {
    const target = template.target(value);
    if (target === undefined) return PSEUDO[ref] ?? ref;
    if (REF_IS_ARN.includes(target.type)) return arnOf(target);
    return target.type === 'AWS::S3::Bucket' ? target.id.toLowerCase() : target.id;
  }
  const attribute = at(value, 'Fn::GetAtt', 1);
  const target = template.target(value);
  if (attribute !== undefined && target !== undefined) return arnOf(target);
  const parts = at(value, 'Fn::Join', 1);
  if (Array.isArray(parts)) {
    const filled = (parts as Value[]).map((part) => text(concrete(template, part)));
    return filled.join(text(at(value, 'Fn::Join', 0)));
  }
  // A bucket of the other stack, by the name of its export.
  const [, bucket] = /FnGetAtt(\w+)Arn[0-9A-F]{8}$/.exec(text(at(value, 'Fn::ImportValue') ?? '')) ?? [];
  if (bucket !== undefined) return `arn:aws:s3:::${bucket.toLowerCase()}`;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, concrete(template, each)]));
}
