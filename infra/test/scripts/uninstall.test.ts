/**
 * Uninstalling, against a server that deletes stacks, policies and certificates by AWS's rules.
 *
 * Its CloudFormation deletes buckets with what is in them, which AWS's refuses: for that see `stacks.test.ts`.
 */
import { CreateStackCommand, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateKeysAndCertificateCommand,
  CreateThingCommand,
  DescribeCertificateCommand,
  DescribeThingCommand,
} from '@aws-sdk/client-iot';
import { HeadBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';

import { Aws, unlessMissing } from '../../scripts/aws';
import { plan, run, survey, type Patiences, type Request } from '../../scripts/uninstall/uninstall';
import { waitFor } from '../../scripts/waiting';
import { describeWithServer, start, type StandIn } from './stand-in';

jest.setTimeout(90_000);

const QUICK: Patiences = {
  stack: { every: 50, atMost: 30_000 },
  detached: { every: 50, atMost: 5_000 },
  policy: 50,
};

/** What an environment has of each kind that is in the way of its deletion, or outlives it. */
function template(environment: string): string {
  const table = {
    Type: 'AWS::DynamoDB::GlobalTable',
    DeletionPolicy: 'Retain',
    Properties: {
      Replicas: [{ Region: 'eu-west-1', DeletionProtectionEnabled: true }],
      TableName: `devices-${environment}`,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'deviceGroup', AttributeType: 'S' },
        { AttributeName: 'serialNumber', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'deviceGroup', KeyType: 'HASH' },
        { AttributeName: 'serialNumber', KeyType: 'RANGE' },
      ],
    },
  };
  const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'iot:Connect', Resource: '*' }] };
  const versioned = { VersioningConfiguration: { Status: 'Enabled' } };
  const payload = {
    Sql: "SELECT * FROM 'data/#'",
    Actions: [{ Republish: { RoleArn: 'arn:aws:iam::123456789012:role/x', Topic: 'alldata_test' } }],
  };
  return JSON.stringify({
    Resources: {
      Devices: table,
      Policy: {
        Type: 'AWS::IoT::Policy',
        Properties: { PolicyName: `iotlake-device-${environment}`, PolicyDocument: policy },
      },
      Raw: {
        Type: 'AWS::S3::Bucket',
        Properties: { BucketName: `raw-${environment}`, ...versioned },
      },
      Lake: {
        Type: 'AWS::S3::Bucket',
        DeletionPolicy: 'Retain',
        Properties: { BucketName: `lake-${environment}`, ...versioned },
      },
      Rule: {
        Type: 'AWS::IoT::TopicRule',
        Properties: { RuleName: `iotlake_${environment}`, TopicRulePayload: payload },
      },
      Users: {
        Type: 'AWS::Cognito::UserPool',
        DeletionPolicy: 'Retain',
        Properties: { UserPoolName: `users-${environment}`, DeletionProtection: 'ACTIVE' },
      },
      Key: { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: policy } },
      Logs: {
        Type: 'AWS::Logs::LogGroup',
        DeletionPolicy: 'Retain',
        Properties: { LogGroupName: `/iotlake/${environment}` },
      },
    },
  });
}

describeWithServer('uninstall', () => {
  let server: StandIn;
  let aws: Aws;

  beforeAll(async () => {
    server = await start();
    aws = new Aws('eu-west-1');
  });

  afterAll(async () => server.stop());

  async function deploy(environment: string): Promise<void> {
    const StackName = `iotlake-${environment}`;
    await aws.cloudFormation.send(new CreateStackCommand({ StackName, TemplateBody: template(environment) }));
    const status = await waitFor(QUICK.stack, async () => {
      const { Stacks } = await aws.cloudFormation.send(new DescribeStacksCommand({ StackName }));
      const now = Stacks?.[0]?.StackStatus ?? '';
      return now.endsWith('_IN_PROGRESS') ? undefined : now;
    });
    expect(status).toBe('CREATE_COMPLETE');
  }

  /** A device as the service makes it; without a record it is one whose record was lost. */
  async function onboard(environment: string, thingName: string, isRecorded: boolean): Promise<string> {
    await aws.iot.send(new CreateThingCommand({ thingName }));
    const made = await aws.iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    const principal = made.certificateArn ?? '';
    const policyName = `iotlake-device-${environment}`;
    await aws.iot.send(new AttachPolicyCommand({ policyName, target: principal }));
    await aws.iot.send(new AttachThingPrincipalCommand({ thingName, principal }));
    if (isRecorded) {
      const Item = {
        deviceGroup: { S: 'rigado_quickstart' },
        serialNumber: { S: thingName },
        deviceName: { S: thingName },
        certificateArn: { S: principal },
      };
      await aws.dynamoDb.send(new PutItemCommand({ TableName: `devices-${environment}`, Item }));
    }
    return made.certificateId ?? '';
  }

  async function fill(bucket: string): Promise<void> {
    for (const Body of ['one', 'two']) {
      await aws.s3.send(new PutObjectCommand({ Bucket: bucket, Key: '2026/11/23/09/a', Body }));
    }
  }

  const request = (environment: string, deletesData: boolean): Request => ({ environment, deletesData, tables: [] });
  const bucketIsThere = async (Bucket: string): Promise<boolean> =>
    (await unlessMissing(aws.s3.send(new HeadBucketCommand({ Bucket })))) !== undefined;

  test('without data: devices and stack go, what holds data stays and is listed', async () => {
    await deploy('keep');
    const certificateId = await onboard('keep', 'device-1', true);
    const lostId = await onboard('keep', 'device-2', false);
    await fill('raw-keep');
    await fill('lake-keep');

    const shown = await plan(await survey(aws, aws, request('keep', false)), request('keep', false));
    expect(shown).toEqual([
      'disable the rule iotlake_keep',
      'leave the bucket lake-keep, which is not empty (--delete-data empties and deletes it)',
      'leave the bucket raw-keep, which is not empty (--delete-data empties and deletes it)',
      'OFFBOARD 2 certificates and 1 recorded devices:',
      '  device-1',
      expect.stringMatching(/ {2}arn:aws:iot:.*:cert\/.* \(attached to the policy, not recorded\)/),
      expect.stringMatching(/delete the stack iotlake-keep \(CREATE_COMPLETE, 8 resources\)/),
    ]);
    // Showing it changed nothing.
    await aws.iot.send(new DescribeThingCommand({ thingName: 'device-1' }));

    const said: string[] = [];
    const left = await run(aws, aws, request('keep', false), (line) => said.push(line), QUICK);
    expect(said).toContain('offboarded: 2 certificates, 2 things, 1 records');
    for (const id of [certificateId, lostId]) {
      expect(await unlessMissing(aws.iot.send(new DescribeCertificateCommand({ certificateId: id })))).toBeUndefined();
    }
    for (const thingName of ['device-1', 'device-2']) {
      expect(await unlessMissing(aws.iot.send(new DescribeThingCommand({ thingName })))).toBeUndefined();
    }
    const { Count } = await aws.dynamoDb.send(new ScanCommand({ TableName: 'devices-keep' }));
    expect(Count).toBe(0);
    const names = left.map(({ type, name, goesByItself }) => {
      if (type === 'AWS::Cognito::UserPool') return [type, 'pool'];
      return [type, goesByItself ? 'key' : name];
    });
    expect(names).toEqual([
      ['AWS::Cognito::UserPool', 'pool'],
      ['AWS::DynamoDB::GlobalTable', 'devices-keep'],
      ['AWS::KMS::Key', 'key'],
      ['AWS::Logs::LogGroup', '/iotlake/keep'],
      ['AWS::S3::Bucket', 'lake-keep'],
    ]);
    // Again: there is nothing to do, and the same remains.
    const again: string[] = [];
    expect(await run(aws, aws, request('keep', false), (line) => again.push(line), QUICK)).toEqual(left);
    expect(again).toEqual([]);
  });

  test('with data: nothing but the waiting key remains, and the name can be deployed again', async () => {
    await deploy('gone');
    await onboard('gone', 'device-3', true);
    await fill('raw-gone');
    await fill('lake-gone');
    for (let round = 1; round <= 2; round += 1) {
      const left = await run(aws, aws, request('gone', true), () => undefined, QUICK);
      expect(new Set(left.map(({ type }) => type))).toEqual(new Set(['AWS::KMS::Key']));
      expect(left.every(({ goesByItself }) => goesByItself)).toBe(true);
      expect(await bucketIsThere('raw-gone')).toBe(false);
      expect(await bucketIsThere('lake-gone')).toBe(false);
      await deploy('gone');
    }
  });

  test('stopped after any step, the next run does the rest', async () => {
    await deploy('stop');
    await onboard('stop', 'device-4', true);
    await fill('raw-stop');
    await fill('lake-stop');
    const steps = ['rule ', 'offboarded', 'bucket ', 'deleting ', 'stack iotlake-stop deleted'];
    for (const step of steps) {
      const die = (line: string): void => {
        if (line.startsWith(step)) throw new Error(`killed after: ${step}`);
      };
      await expect(run(aws, aws, request('stop', true), die, QUICK)).rejects.toThrow(`killed after: ${step}`);
      // What a step did is not there to be done again.
      if (step === 'offboarded') await onboard('stop', 'device-5', false);
    }
    const left = await run(aws, aws, request('stop', true), () => undefined, QUICK);
    expect(left.map(({ type }) => type)).toEqual(['AWS::KMS::Key']);
    for (const thingName of ['device-4', 'device-5']) {
      expect(await unlessMissing(aws.iot.send(new DescribeThingCommand({ thingName })))).toBeUndefined();
    }
  });

  test('an environment that never was: nothing to take away', async () => {
    const found = await survey(aws, aws, request('never', true));
    expect(await plan(found, request('never', false))).toEqual([]);
    expect(await run(aws, aws, request('never', true), () => undefined, QUICK)).toEqual([]);
  });
});
