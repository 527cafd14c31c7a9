/**
 * Devices lose their identity before the stack goes: a policy that certificates are attached to cannot be deleted.
 *
 * In come the shared policies and the table of devices; out goes every certificate that a policy is attached to or that
 * the table records, with its thing and its record, in the order that AWS IoT asks for: policies off, things off,
 * inactive, deleted, then the thing, then the record.
 *
 * What must stay true: what is gone already counts as done, so a run that died is completed by the next; a thing that
 * still has a certificate which is not ours stays.
 */
import {
  DeleteItemCommand,
  DescribeTableCommand,
  paginateScan,
  type AttributeValue,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb';
import {
  DeleteCertificateCommand,
  DeleteThingCommand,
  DetachPolicyCommand,
  DetachThingPrincipalCommand,
  ListPrincipalThingsCommand,
  ListThingPrincipalsCommand,
  paginateListAttachedPolicies,
  paginateListTargetsForPolicy,
  UpdateCertificateCommand,
  type IoTClient,
} from '@aws-sdk/client-iot';

import { isMissing, unlessMissing } from '../aws';
import { Failure } from '../arguments';
import { waitFor, type Patience } from '../waiting';

/** A recorded device: the key of its record, its thing and, if it has come so far, its certificate. */
export interface RecordedDevice {
  readonly table: string;
  readonly key: Record<string, AttributeValue>;
  readonly thing: string;
  readonly certificateArn?: string;
}

/** All that is to be offboarded. */
export interface Fleet {
  readonly certificateArns: readonly string[];
  readonly recorded: readonly RecordedDevice[];
}

/** What was offboarded, and what could not be. */
export interface Offboarded {
  readonly certificates: number;
  readonly things: number;
  readonly records: number;
  /** Things that stay since other certificates are attached to them. */
  readonly keptThings: readonly string[];
}

/** Finds the devices behind policies and tables; what is not there has none. */
export async function findFleet(
  iot: IoTClient,
  dynamoDb: DynamoDBClient,
  policies: readonly string[],
  tables: readonly string[],
): Promise<Fleet> {
  const recorded: RecordedDevice[] = [];
  for (const table of tables) recorded.push(...(await records(dynamoDb, table)));
  const arns = new Set(recorded.flatMap(({ certificateArn }) => certificateArn ?? []));
  for (const policyName of policies) {
    for (const target of await targets(iot, policyName)) {
      if (target.includes(':cert/')) arns.add(target);
    }
  }
  return { certificateArns: [...arns].sort(), recorded };
}

/** Offboards them all, one after the other: AWS IoT allows about ten such calls a second. */
export async function offboard(
  iot: IoTClient,
  dynamoDb: DynamoDBClient,
  fleet: Fleet,
  patience: Patience,
): Promise<Offboarded> {
  const things = new Set(fleet.recorded.map(({ thing }) => thing));
  let certificates = 0;
  for (const arn of fleet.certificateArns) {
    for (const thing of await removeCertificate(iot, arn, patience)) things.add(thing);
    certificates += 1;
  }
  const keptThings: string[] = [];
  for (const thing of [...things].sort()) {
    if (!(await removeThing(iot, thing, patience))) keptThings.push(thing);
  }
  for (const { table, key } of fleet.recorded) {
    await dynamoDb.send(new DeleteItemCommand({ TableName: table, Key: key }));
  }
  return {
    certificates,
    things: things.size - keptThings.length,
    records: fleet.recorded.length,
    keptThings,
  };
}

async function records(client: DynamoDBClient, table: string): Promise<RecordedDevice[]> {
  const described = await unlessMissing(client.send(new DescribeTableCommand({ TableName: table })));
  const names = (described?.Table?.KeySchema ?? []).flatMap(({ AttributeName }) => AttributeName ?? []);
  const found: RecordedDevice[] = [];
  if (names.length === 0) return found;
  // Certificates and keys stay where they are: only what is needed to find a device is read.
  const shown: Record<string, string> = { '#thing': 'deviceName', '#certificate': 'certificateArn' };
  names.forEach((name, index) => (shown[`#key${index}`] = name));
  const request = {
    TableName: table,
    ProjectionExpression: Object.keys(shown).join(', '),
    ExpressionAttributeNames: shown,
  };
  for await (const page of paginateScan({ client }, request)) {
    for (const item of page.Items ?? []) {
      const key = Object.fromEntries(names.flatMap((name) => (item[name] ? [[name, item[name]]] : [])));
      const serial = item[names[names.length - 1] ?? '']?.S;
      const thing = item.deviceName?.S || serial;
      if (thing === undefined) continue;
      found.push({ table, key, thing, certificateArn: item.certificateArn?.S || undefined });
    }
  }
  return found;
}

async function targets(client: IoTClient, policyName: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const page of paginateListTargetsForPolicy({ client }, { policyName })) {
      found.push(...(page.targets ?? []));
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return found;
}

/** Removes a certificate; answers with the things that it was attached to. */
async function removeCertificate(client: IoTClient, arn: string, patience: Patience): Promise<string[]> {
  const certificateId = arn.slice(arn.lastIndexOf('/') + 1);
  try {
    for await (const page of paginateListAttachedPolicies({ client }, { target: arn })) {
      for (const { policyName } of page.policies ?? []) {
        await client.send(new DetachPolicyCommand({ policyName, target: arn }));
      }
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
    return [];
  }
  const attached = await unlessMissing(client.send(new ListPrincipalThingsCommand({ principal: arn })));
  const things = attached?.things ?? [];
  for (const thingName of things) {
    await unlessMissing(client.send(new DetachThingPrincipalCommand({ thingName, principal: arn })));
  }
  await unlessMissing(client.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' })));
  await believed(patience, `certificate ${certificateId}`, () =>
    client.send(new DeleteCertificateCommand({ certificateId })),
  );
  return things;
}

/** Removes a thing; false if it stays since a certificate that is not ours is attached to it. */
async function removeThing(client: IoTClient, thingName: string, patience: Patience): Promise<boolean> {
  const answer = await unlessMissing(client.send(new ListThingPrincipalsCommand({ thingName })));
  if (answer === undefined) return true;
  if ((answer.principals ?? []).length > 0) return false;
  await believed(patience, `thing ${thingName}`, () => client.send(new DeleteThingCommand({ thingName })));
  return true;
}

/** Deletes something that IoT Core may believe attached for some seconds more. */
async function believed(patience: Patience, what: string, deletion: () => Promise<unknown>): Promise<void> {
  const done = await waitFor(patience, async () => {
    try {
      await deletion();
      return true;
    } catch (error) {
      if (isMissing(error)) return true;
      const conflict =
        error instanceof Error && ['DeleteConflictException', 'InvalidRequestException'].includes(error.name);
      if (!conflict) throw error;
      return undefined;
    }
  });
  if (done === undefined) {
    throw new Failure(
      `AWS IoT does not let go of ${what}: it still believes something attached`,
      'that can take five minutes: run the command again, it goes on from there',
    );
  }
}
