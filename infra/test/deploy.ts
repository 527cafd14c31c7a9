/**
 * The template of a release, deployed to a server that stands in for AWS, as CloudFormation's console deploys it.
 *
 * What the server lacks is listed here and nothing else is taken out: {@link deployable}. Where a test needs the stages and
 * not what runs in them, its functions are small ones that take every message (`deployWithoutEngine`).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CreateStackCommand, paginateDescribeStackEvents } from '@aws-sdk/client-cloudformation';
import { CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

import { releaseStack } from '../lib/release';
import type { Aws } from '../scripts/aws';
import { stackOf } from '../scripts/deployed';
import { waitFor } from '../scripts/waiting';
import { PYTHON, type StandIn } from './scripts/stand-in';

/** Types of the template that the server does not know, but for those of SiteWise, which nobody asks it for. */
export const MISSING: readonly string[] = ['AWS::Athena::NamedQuery'];

/** As much of a resource as is looked at. */
interface Resource {
  readonly Type: string;
  readonly Condition?: string;
  readonly Properties?: { readonly Metrics?: unknown };
}

/** As much of a template as is looked at. */
export interface Body {
  readonly Resources: Readonly<Record<string, Resource>>;
}

export const STACK = 'iotlake-int';
const SOON = { every: 100, atMost: 120_000 };

/** The template as it is synthesized. */
export function releaseTemplate(): Body {
  return Template.fromStack(releaseStack(new App())).toJSON() as Body;
}

/** A template without what the server does not know: some types, and alarms that compute with several metrics. */
export function deployable(body: Body, alsoWithout: readonly string[] = []): Body {
  const left = [...MISSING, ...alsoWithout];
  const computes = ({ Type, Properties }: Resource): boolean =>
    Type === 'AWS::CloudWatch::Alarm' && Properties?.Metrics !== undefined;
  const kept = Object.entries(body.Resources).filter(([, each]) => !left.includes(each.Type) && !computes(each));
  return { ...body, Resources: Object.fromEntries(kept) };
}

/** Makes the bucket of the release, with the zips of its functions. */
export async function uploadZips(aws: Aws, zip: (binary: string) => Buffer): Promise<void> {
  await aws.s3.send(new CreateBucketCommand({ Bucket: 'release' }));
  for (const binary of ['ingest', 'onboarding']) {
    const object = { Bucket: 'release', Key: `v1/${binary}-arm64.zip`, Body: zip(binary) };
    await aws.s3.send(new PutObjectCommand(object));
  }
}

/** Deploys a template; out comes the state it ended in, or why it was refused. */
export async function deploy(aws: Aws, server: StandIn, body: Body): Promise<string> {
  await aws.s3.send(new PutObjectCommand({ Bucket: 'release', Key: 'v1/iotlake.json', Body: JSON.stringify(body) }));
  const told = { environment: 'int', contactEmail: 'ops@example.com', codeBucket: 'release', codePrefix: 'v1/' };
  const Parameters = Object.entries(told).map(([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }));
  const TemplateURL = `${server.url}/release/v1/iotlake.json`;
  const Capabilities = ['CAPABILITY_IAM' as const];
  try {
    await aws.cloudFormation.send(new CreateStackCommand({ StackName: STACK, TemplateURL, Parameters, Capabilities }));
  } catch (error) {
    return String(error);
  }
  const ended = await waitFor(SOON, async () => {
    const { status } = await stackOf(aws, 'int');
    return status.endsWith('_IN_PROGRESS') ? undefined : status;
  });
  if (ended === 'CREATE_COMPLETE') return ended;
  const reasons: string[] = [];
  for await (const page of paginateDescribeStackEvents({ client: aws.cloudFormation }, { StackName: STACK })) {
    for (const { LogicalResourceId, ResourceStatus, ResourceStatusReason } of page.StackEvents ?? []) {
      if (ResourceStatus?.endsWith('_FAILED')) reasons.push(`${LogicalResourceId}: ${ResourceStatusReason}`);
    }
  }
  return `${ended}: ${reasons.join('; ')}`;
}

/** A function that takes whatever it is given, under Lambda's Runtime API. */
const TAKES_ALL = `#!/usr/bin/env python3
import os, urllib.request
at = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(at + "next") as event:
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
        event.read()
    answer = urllib.request.Request(at + request + "/response", data=b'{"batchItemFailures": []}')
    urllib.request.urlopen(answer).read()
`;

/** Deploys the template with functions that take everything and do nothing; nobody makes tables or users. */
export async function deployWithoutEngine(aws: Aws, server: StandIn): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'iotlake-zip-'));
  try {
    const packed = join(folder, 'function.zip');
    writeFileSync(join(folder, 'bootstrap'), TAKES_ALL, { mode: 0o755 });
    execFileSync(PYTHON, ['-m', 'zipfile', '-c', packed, join(folder, 'bootstrap')]);
    const zip = readFileSync(packed);
    await uploadZips(aws, () => zip);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return deploy(aws, server, deployable(releaseTemplate(), ['Custom::IotlakeAtDeployment']));
}
