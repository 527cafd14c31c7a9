/**
 * The environment is taken away with all that it holds, and the same is deployed again under the same name: from the
 * template, the parameters and the role of the stack that was there.
 *
 * First without its data, to see that CloudFormation leaves full buckets and the command goes on; then with it.
 */
import {
  CreateStackCommand,
  DescribeStacksCommand,
  GetTemplateCommand,
  type CreateStackCommandInput,
} from '@aws-sdk/client-cloudformation';
import {
  BucketLocationConstraint,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';

import { Failure } from '../../arguments';
import { configuration, stackOf } from '../../deployed';
import { PATIENCES, run, type Patiences } from '../../uninstall/uninstall';
import { waitFor } from '../../waiting';
import type { Context } from '../context';

export async function again(context: Context, patiences: Patiences = PATIENCES): Promise<void> {
  const { environment, report } = context;
  const { aws } = environment;
  const { as, template } = await remembered(context);
  const remove = async (deletesData: boolean): Promise<string[]> => {
    const request = { environment: environment.name, deletesData, tables: [] };
    const said: string[] = [];
    const remains = await run(aws, aws, request, (line) => said.push(line), patiences);
    const left = remains.filter(({ goesByItself }) => !goesByItself).map(({ type, name }) => `${type} ${name}`);
    if (!deletesData) fullBuckets(context, said, left);
    return left;
  };
  await remove(false);
  const left = await remove(true);
  report.saw(
    'same-name',
    left.length === 0 ? 'nothing remains that does not go by itself' : `remains: ${left.join(', ')}`,
  );
  if (left.length > 0) return report.refuted('same-name', 'uninstall left what it should have removed');
  const begun = Date.now();
  await deploy(context, template, as);
  const deployed = await stackOf(aws, environment.name);
  const values = await configuration(aws, deployed);
  report.saw('same-name', `deployed again in ${Math.round((Date.now() - begun) / 1_000)} s as ${deployed.id}`);
  report.proved('same-name', `its secret has ${values.size} values, the token of a new user among them`);
}

/** What the run without data says of buckets that could not be deleted. */
function fullBuckets({ report }: Context, said: readonly string[], left: readonly string[]): void {
  const refused = said.filter((line) => line.startsWith('left behind: '));
  report.saw('full-buckets', ...refused, `after that: ${left.join(', ') || 'nothing remains'}`);
  if (refused.length > 0) return report.proved('full-buckets');
  report.skipped(
    'full-buckets',
    'CloudFormation was not asked to delete a full bucket: all were empty, or the stack keeps them',
  );
}

/** The stack as it was made: what it takes to make it again. */
async function remembered({
  environment,
}: Context): Promise<{ as: Partial<CreateStackCommandInput>; template: string }> {
  const client = environment.aws.cloudFormation;
  const StackName = environment.stack.name;
  const stack = (await client.send(new DescribeStacksCommand({ StackName }))).Stacks?.[0];
  const { TemplateBody = '' } = await client.send(new GetTemplateCommand({ StackName, TemplateStage: 'Original' }));
  const Parameters = stack?.Parameters?.map(({ ParameterKey, ParameterValue }) => ({ ParameterKey, ParameterValue }));
  const as = { Parameters, Capabilities: stack?.Capabilities, Tags: stack?.Tags, RoleARN: stack?.RoleARN };
  return { as, template: TemplateBody };
}

/** Makes the stack again. Its template is too large for the request, so it lies in a bucket meanwhile. */
async function deploy(context: Context, template: string, as: Partial<CreateStackCommandInput>): Promise<void> {
  const { environment, id, patience } = context;
  const { s3, cloudFormation } = environment.aws;
  const object = { Bucket: `iotlake-prove-${environment.account}-${id}`, Key: 'template.json' };
  // us-east-1 is the one region that is not to be named.
  const LocationConstraint = environment.region as BucketLocationConstraint;
  const place = environment.region === 'us-east-1' ? {} : { CreateBucketConfiguration: { LocationConstraint } };
  await s3.send(new CreateBucketCommand({ Bucket: object.Bucket, ...place }));
  try {
    await s3.send(new PutObjectCommand({ ...object, Body: template }));
    const suffix = environment.region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
    const host = process.env.AWS_ENDPOINT_URL ?? `https://s3.${environment.region}.${suffix}`;
    const TemplateURL = `${host}/${object.Bucket}/${object.Key}`;
    await cloudFormation.send(new CreateStackCommand({ StackName: environment.stack.name, TemplateURL, ...as }));
    const status = await waitFor(patience.stack, async () => {
      const now = (await stackOf(environment.aws, environment.name)).status;
      return now.endsWith('_IN_PROGRESS') ? undefined : now;
    });
    if (status !== 'CREATE_COMPLETE') {
      throw new Failure(
        `stack ${environment.stack.name} is ${status ?? 'still being made'}: its events say why; deploy it as you did before`,
      );
    }
  } finally {
    await s3.send(new DeleteObjectCommand(object));
    await s3.send(new DeleteBucketCommand({ Bucket: object.Bucket }));
  }
}
