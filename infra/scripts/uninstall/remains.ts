/**
 * What is still there when the stacks are gone.
 *
 * In come the resources that the stacks had; out comes a line for each that AWS still shows, with why and until when.
 * Each kind is asked for at its own service: a stack's memory says what was kept, not what has been removed since.
 */
import {
  DeleteUserPoolCommand,
  DescribeUserPoolCommand,
  UpdateUserPoolCommand,
} from '@aws-sdk/client-cognito-identity-provider';
import { DeleteLogGroupCommand, DescribeLogGroupsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { DeleteTableCommand, DescribeTableCommand, UpdateTableCommand } from '@aws-sdk/client-dynamodb';
import { DeleteDatabaseCommand, GetDatabaseCommand } from '@aws-sdk/client-glue';
import { GetPolicyCommand } from '@aws-sdk/client-iot';
import { DescribeAssetModelCommand, paginateListAssets } from '@aws-sdk/client-iotsitewise';
import { DescribeKeyCommand, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import { DescribeSecretCommand } from '@aws-sdk/client-secrets-manager';

import { unlessMissing, type Aws } from '../aws';
import * as buckets from './buckets';
import type { Resource } from './stacks';

/** Something that is still there. */
export interface Remain {
  readonly type: string;
  readonly name: string;
  /** Why it is there, and what becomes of it. */
  readonly note: string;
  /** Whether it goes by itself, so that nobody has to do anything. */
  readonly goesByItself: boolean;
}

/** How a kind of resource is asked for, and removed where a stack kept it with data in it. */
interface Kind {
  look(aws: Aws, name: string): Promise<Omit<Remain, 'type' | 'name'> | undefined>;
  remove?(aws: Aws, name: string): Promise<void>;
}

const stays = (note: string): Omit<Remain, 'type' | 'name'> => ({ note, goesByItself: false });

/** Days until a key that a stack kept is gone: as long as AWS lets one change one's mind. */
const KEY_WAITING_DAYS = 30;

const LOG_GROUP: Kind = {
  async look(aws, name) {
    const page = await aws.logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: name }));
    const group = page.logGroups?.find(({ logGroupName }) => logGroupName === name);
    if (group === undefined) return undefined;
    const days = group.retentionInDays;
    return stays(`logs, ${days === undefined ? 'kept for ever' : `each line kept for ${days} days`}`);
  },
  async remove(aws, name) {
    await unlessMissing(aws.logs.send(new DeleteLogGroupCommand({ logGroupName: name })));
  },
};

const TABLE: Kind = {
  async look(aws, name) {
    const answer = await unlessMissing(aws.dynamoDb.send(new DescribeTableCommand({ TableName: name })));
    if (answer === undefined || answer.Table?.TableStatus === 'DELETING') return undefined;
    return stays(`table of devices, about ${answer.Table?.ItemCount ?? 0} records`);
  },
  async remove(aws, name) {
    const request = { TableName: name, DeletionProtectionEnabled: false };
    const table = await unlessMissing(aws.dynamoDb.send(new DescribeTableCommand({ TableName: name })));
    if (table?.Table?.DeletionProtectionEnabled === true) await aws.dynamoDb.send(new UpdateTableCommand(request));
    await unlessMissing(aws.dynamoDb.send(new DeleteTableCommand({ TableName: name })));
  },
};

const KINDS: Readonly<Record<string, Kind>> = {
  'AWS::S3::Bucket': {
    async look(aws, name) {
      if (!(await buckets.exists(aws.s3, name))) return undefined;
      return stays((await buckets.isEmpty(aws.s3, name)) ? 'empty bucket' : 'bucket with objects or old versions');
    },
    remove: (aws, name) => buckets.remove(aws.s3, name),
  },
  'AWS::DynamoDB::Table': TABLE,
  'AWS::DynamoDB::GlobalTable': TABLE,
  'AWS::KMS::Key': {
    async look(aws, name) {
      const answer = await unlessMissing(aws.kms.send(new DescribeKeyCommand({ KeyId: name })));
      const key = answer?.KeyMetadata;
      if (key === undefined) return undefined;
      if (key.KeyState !== 'PendingDeletion') return stays('key in use, billed by the month');
      const until = key.DeletionDate === undefined ? '' : ` on ${day(key.DeletionDate)}`;
      return { note: `key that is waiting for its deletion${until}, not billed`, goesByItself: true };
    },
    async remove(aws, name) {
      const answer = await unlessMissing(aws.kms.send(new DescribeKeyCommand({ KeyId: name })));
      if (answer === undefined || answer.KeyMetadata?.KeyState === 'PendingDeletion') return;
      const request = { KeyId: name, PendingWindowInDays: KEY_WAITING_DAYS };
      await aws.kms.send(new ScheduleKeyDeletionCommand(request));
    },
  },
  'AWS::Logs::LogGroup': LOG_GROUP,
  'AWS::Cognito::UserPool': {
    async look(aws, name) {
      const answer = await unlessMissing(aws.cognito.send(new DescribeUserPoolCommand({ UserPoolId: name })));
      return answer && stays('user pool, with the API user');
    },
    async remove(aws, name) {
      // The other settings fall back to defaults by this, which does not matter to a pool that is deleted next.
      const request = { UserPoolId: name, DeletionProtection: 'INACTIVE' as const };
      await aws.cognito.send(new UpdateUserPoolCommand(request));
      await unlessMissing(aws.cognito.send(new DeleteUserPoolCommand({ UserPoolId: name })));
    },
  },
  'AWS::SecretsManager::Secret': {
    async look(aws, name) {
      const answer = await unlessMissing(aws.secrets.send(new DescribeSecretCommand({ SecretId: name })));
      if (answer === undefined) return undefined;
      if (answer.DeletedDate === undefined) return stays('secret, billed by the month');
      return { note: `secret that can be restored until ${day(answer.DeletedDate)}`, goesByItself: true };
    },
  },
  'AWS::Glue::Database': {
    async look(aws, name) {
      const answer = await unlessMissing(aws.glue.send(new GetDatabaseCommand({ Name: name })));
      return answer && stays('Glue database, with the tables in it');
    },
    async remove(aws, name) {
      await unlessMissing(aws.glue.send(new DeleteDatabaseCommand({ Name: name })));
    },
  },
  // It is where its database is, which is listed.
  'AWS::Glue::Table': { look: () => Promise.resolve(undefined) },
  'AWS::IoT::Policy': {
    async look(aws, policyName) {
      const answer = await unlessMissing(aws.iot.send(new GetPolicyCommand({ policyName })));
      return answer && stays('policy of devices');
    },
  },
  'AWS::IoTSiteWise::AssetModel': {
    async look(aws, assetModelId) {
      const model = await unlessMissing(aws.siteWise.send(new DescribeAssetModelCommand({ assetModelId })));
      if (model === undefined) return undefined;
      const names: string[] = [];
      for await (const page of paginateListAssets({ client: aws.siteWise }, { assetModelId })) {
        names.push(...(page.assetSummaries ?? []).map(({ name }) => name ?? ''));
      }
      const list = names.length === 0 ? 'without assets' : `with assets made by hand: ${names.sort().join(', ')}`;
      return stays(`model ${model.assetModelName} ${list}; delete the assets, then the model`);
    },
  },
};

/** Finds what is still there of these resources. */
export async function find(aws: Aws, resources: readonly Resource[]): Promise<Remain[]> {
  const remains: Remain[] = [];
  for (const { type, name, kind } of known(resources)) {
    const seen = await kind.look(aws, name);
    if (seen !== undefined) remains.push({ type, name, ...seen });
  }
  const kept = resources.filter(({ type, status }) => status === 'DELETE_SKIPPED' && KINDS[type] === undefined);
  for (const { type, physicalId } of kept) {
    remains.push({ type, name: physicalId, ...stays('was kept by its stack; look whether it is still there') });
  }
  return remains;
}

/** Removes what holds data of these resources, and was kept by its stack. */
export async function remove(aws: Aws, resources: readonly Resource[]): Promise<void> {
  for (const { name, kind } of known(resources)) {
    if (kind.remove !== undefined && (await kind.look(aws, name)) !== undefined) await kind.remove(aws, name);
  }
}

/** The resources that can be asked for, each once; functions also leave the log group that Lambda makes for them. */
function known(resources: readonly Resource[]): { type: string; name: string; kind: Kind }[] {
  const found = new Map<string, { type: string; name: string; kind: Kind }>();
  for (const { type, physicalId } of resources) {
    const isFunction = type === 'AWS::Lambda::Function';
    const name = isFunction ? `/aws/lambda/${physicalId}` : physicalId;
    const kind = isFunction ? LOG_GROUP : KINDS[type];
    const shown = isFunction ? 'AWS::Logs::LogGroup' : type;
    if (kind !== undefined && physicalId !== '') found.set(`${shown} ${name}`, { type: shown, name, kind });
  }
  return [...found.values()].sort((a, b) => `${a.type} ${a.name}`.localeCompare(`${b.type} ${b.name}`));
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
