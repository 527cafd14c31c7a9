/**
 * What a deployment can be told, read once from CDK's context and the environment, and checked.
 *
 * In come `-c name=value` (or the variable `IOTLAKE_NAME`), and what the last deployment was told; out come typed settings,
 * or one error that names every value that is wrong. What is not said now stays as it was; said with nothing behind the
 * `=` it is the default again.
 */
import * as path from 'node:path';

import { aws_logs as logs } from 'aws-cdk-lib';

import { DEVICES_DUE, readDevices, type SiteWiseDevice } from './sitewise/models';

/** Everything that the stack is built from. Texts may be CloudFormation parameters in the release form. */
export interface Settings {
  /** Marks every name, so that several live in one account and region. */
  readonly environment: string;
  /** Gets alarms, and the word where the configuration lies. Empty: nobody. */
  readonly contactEmail: string;
  /** The filter of the messages that are taken, and under which devices publish. */
  readonly rootMqttTopic: string;
  /** Whether what holds data outlives the stack. */
  readonly keepData: boolean;
  /** Whether the rule also sends each message to `alldata_test`, as the quickstart's did. */
  readonly republish: boolean;
  /** Takes one message in so many; 1 takes all. */
  readonly sampleOneIn: number;
  /** Whether Firehose compresses raw objects. */
  readonly compressRaw: boolean;
  /** Firehose delivers when either is reached. */
  readonly bufferSeconds: number;
  readonly bufferMegabytes: number;
  /** Days that logs are kept; CloudWatch takes certain numbers only. */
  readonly logDays: number;
  /** What the table is made with: `rigado` or `default`. */
  readonly contract: string;
  readonly table: string;
  /** Most bytes that a query of the workgroup may scan. */
  readonly queryLimitBytes: number;
  /** Makes a second client, for machines: it has a secret and no user. */
  readonly machineClient: boolean;
  /** Where devices may publish: anywhere under the root (`root`), or under `<root>/<thing name>` alone (`thing`). */
  readonly topicScope: string;
  /** Whether private keys are kept, encrypted (`store`), or told once and never again (`return-once`). */
  readonly credentialRetention: string;
  /** Dollars that the account may cost in a month; beyond them, or when they are foreseen, the contact gets a mail. */
  readonly monthlyDollars: number;
  /** Whether IoT Core logs the errors of rules, for the whole account and region: the only trace of those of SQL. */
  readonly iotLogging: boolean;
  /** A user of QuickSight who gets the dashboard; empty: no dashboard. */
  readonly quickSightAdminUserName: string;
  /** The region in which QuickSight knows that user; empty: the stack's. */
  readonly quickSightAdminUserRegion: string;
  /** Whether QuickSight asks Athena each time, or keeps a copy that it renews every hour. */
  readonly quickSightImport: string;
  /** A template of QuickSight in place of our panels; empty: ours. */
  readonly sourceTemplateArn: string;
  /** Whether values also go to SiteWise, live. */
  readonly sitewise: boolean;
  /** The devices that get an asset. */
  readonly sitewiseDevices: readonly SiteWiseDevice[];
  /** Folder of `ingest-arm64.zip` and `onboarding-arm64.zip`. */
  readonly lambdaDirectory: string;
  /** What was said, now or before, by name: what the next deployment goes by where it is told nothing else. */
  readonly told: Readonly<Record<string, string>>;
}

/** Names that are no part of a deployment: where it is built, and which one it is. */
const NOT_REMEMBERED = ['lambdaDirectory', 'environment'];

type Read = (name: string) => unknown;

/** Names of ours; the domain of the pool has it in it, and Cognito takes none with these words. */
const NAME = /^(?!.*(?:aws|amazon|cognito))[a-z][a-z0-9]{0,15}$/;

/** What CloudWatch Logs takes, but for without end. */
const LOG_DAYS = Object.values(logs.RetentionDays).filter(
  (days) => typeof days === 'number' && days < 9999,
) as number[];

/** Where `make lambda` puts its zips. */
const BUILT = path.join(__dirname, '..', '..', 'target', 'lambda');

/** Reads and checks settings; everything that is wrong is in the message of the error. */
export function readSettings(
  context: Read,
  variables: NodeJS.ProcessEnv = process.env,
  before: Readonly<Record<string, string>> = {},
): Settings {
  const problems: string[] = [];
  const told: Record<string, string> = {};
  const raw = (name: string): string | undefined => {
    const now = saidNow(name, context, variables) ?? before[name] ?? '';
    if (now === '') return undefined;
    if (!NOT_REMEMBERED.includes(name)) told[name] = now;
    return now;
  };
  const text = (name: string, otherwise: string, pattern: RegExp, due: string): string => {
    const value = raw(name) ?? otherwise;
    if (!pattern.test(value)) problems.push(`${name} is \`${value}\`: ${due}`);
    return value;
  };
  const flag = (name: string, otherwise: boolean): boolean => {
    const value = raw(name) ?? String(otherwise);
    if (value !== 'true' && value !== 'false') problems.push(`${name} is \`${value}\`: true or false is due`);
    return value === 'true';
  };
  const number = (name: string, otherwise: number, least: number, most: number): number => {
    const value = Number(raw(name) ?? otherwise);
    if (!Number.isInteger(value) || value < least || value > most) {
      problems.push(`${name} is \`${raw(name)}\`: a whole number from ${least} to ${most} is due`);
    }
    return value;
  };
  const oneOf = (name: string, otherwise: number, due: number[]): number => {
    const value = Number(raw(name) ?? otherwise);
    if (!due.includes(value)) problems.push(`${name} is \`${raw(name)}\`: one of ${due.join(', ')} is due`);
    return value;
  };
  const devices = (name: string): SiteWiseDevice[] => {
    const value = raw(name) ?? '';
    const list = readDevices(value);
    if (list === undefined) problems.push(`${name} is \`${value}\`: ${DEVICES_DUE}`);
    return list ?? [];
  };
  const environment = text(
    'environment',
    'int',
    NAME,
    'up to 16 of a-z and 0-9 are due, a letter first, without aws, amazon, cognito',
  );
  const settings: Settings = {
    environment,
    contactEmail: text('contactEmail', '', /^$|^[^@\s]+@[^@\s]+$/, 'an address is due'),
    rootMqttTopic: text(
      'rootMqttTopic',
      'data/#',
      /^(?!\$)(?!(?:[^/]*\/){8})(?:(?:\+|[^/#+*?${}\\"']+)\/)*#$/,
      'a topic filter that ends in #, such as data/#, is due',
    ),
    keepData: flag('keepData', /^prod/.test(environment)),
    republish: flag('republish', false),
    sampleOneIn: number('sampleOneIn', 1, 1, 1_000_000),
    compressRaw: flag('compressRaw', true),
    bufferSeconds: number('bufferSeconds', 60, 0, 900),
    bufferMegabytes: number('bufferMegabytes', 5, 1, 128),
    logDays: oneOf('logDays', 30, LOG_DAYS),
    contract: text('contract', 'rigado', /^(rigado|default)$/, 'rigado or default is due'),
    table: text('table', 'events', /^[a-z][a-z0-9_]{0,63}$/, 'up to 64 of a-z, 0-9 and _ are due'),
    queryLimitBytes: number('queryLimitBytes', 100 * 2 ** 30, 10_000_000, Number.MAX_SAFE_INTEGER),
    machineClient: flag('machineClient', false),
    topicScope: text('topicScope', 'root', /^(root|thing)$/, 'root or thing is due'),
    credentialRetention: text('credentialRetention', 'store', /^(store|return-once)$/, 'store or return-once is due'),
    iotLogging: flag('iotLogging', false),
    monthlyDollars: number('monthlyDollars', 0, 0, 1_000_000),
    quickSightAdminUserName: text(
      'quickSightAdminUserName',
      '',
      /^[^\s:*?]{0,256}$/,
      'the name of a user of QuickSight is due, as the list of users shows it',
    ),
    quickSightAdminUserRegion: text('quickSightAdminUserRegion', '', /^$|^[a-z]{2}(-[a-z]+)+-\d$/, 'a region is due'),
    quickSightImport: text(
      'quickSightImport',
      'DIRECT_QUERY',
      /^(DIRECT_QUERY|SPICE)$/,
      'DIRECT_QUERY or SPICE is due',
    ),
    sourceTemplateArn: text(
      'sourceTemplateArn',
      '',
      /^$|^arn:[^:]+:quicksight:[^:]*:\d{12}:template\/\S+$/,
      'the ARN of a template of QuickSight is due',
    ),
    sitewise: flag('sitewise', false),
    sitewiseDevices: devices('sitewiseDevices'),
    lambdaDirectory: raw('lambdaDirectory') ?? BUILT,
    told,
  };
  if (settings.quickSightAdminUserName !== '' && settings.contract !== 'rigado') {
    problems.push(`contract is \`${settings.contract}\`: the dashboard reads the view that only rigado has`);
  }
  if (settings.monthlyDollars > 0 && settings.contactEmail === '') {
    problems.push('monthlyDollars is given, but no contactEmail to tell when they are spent');
  }
  if (settings.sitewiseDevices.length > 0 && !settings.sitewise) {
    problems.push('sitewiseDevices are given, but sitewise is false');
  }
  if (problems.length > 0) throw new Error(`the settings are wrong: ${problems.join('; ')}`);
  return settings;
}

/** The environment alone, which says whose last deployment is to be asked for. */
export function environmentOf(context: Read, variables: NodeJS.ProcessEnv = process.env): string {
  return saidNow('environment', context, variables) || 'int';
}

/** What this deployment is told of a setting: by CDK's context, else by a variable; `undefined` if nothing. */
function saidNow(name: string, context: Read, variables: NodeJS.ProcessEnv): string | undefined {
  const variable = `IOTLAKE_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
  const value = context(name) ?? variables[variable];
  return value === undefined ? undefined : String(value);
}
