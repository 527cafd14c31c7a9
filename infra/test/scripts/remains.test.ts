/** What remains of SiteWise, which no stand-in for AWS has: with answers as AWS gives them. */
import { DescribeAssetModelCommand, ListAssetsCommand } from '@aws-sdk/client-iotsitewise';

import { Aws } from '../../scripts/aws';
import { find } from '../../scripts/uninstall/remains';
import type { Resource } from '../../scripts/uninstall/stacks';

/** SiteWise with these models, each with the names of its assets. */
function siteWise(models: Record<string, string[]>): Aws {
  const aws = new Aws('eu-west-1');
  aws.siteWise.middlewareStack.add(
    (_next, context) =>
      async ({ input }) => {
        const { assetModelId = '' } = input as { assetModelId?: string };
        const names = models[assetModelId];
        if (names === undefined) {
          throw Object.assign(new Error('Asset model not found'), { name: 'ResourceNotFoundException' });
        }
        const output =
          context.commandName === DescribeAssetModelCommand.name
            ? { assetModelId, assetModelName: 'RuuviTag' }
            : { assetSummaries: names.map((name) => ({ name })) };
        expect([DescribeAssetModelCommand.name, ListAssetsCommand.name]).toContain(context.commandName);
        return Promise.resolve({ output: { $metadata: {}, ...output }, response: {} } as never);
      },
    { step: 'initialize' },
  );
  return aws;
}

const resource = (type: string, physicalId: string, status: string): Resource => ({
  logicalId: physicalId,
  physicalId,
  type,
  status,
});

test('a model with assets made by hand is named with them; one that is gone is not', async () => {
  const left = await find(siteWise({ kept: ['ac23-b', 'ac23-a'] }), [
    resource('AWS::IoTSiteWise::AssetModel', 'kept', 'DELETE_FAILED'),
    resource('AWS::IoTSiteWise::AssetModel', 'gone', 'DELETE_COMPLETE'),
  ]);
  expect(left).toEqual([
    {
      type: 'AWS::IoTSiteWise::AssetModel',
      name: 'kept',
      note: 'model RuuviTag with assets made by hand: ac23-a, ac23-b; delete the assets, then the model',
      goesByItself: false,
    },
  ]);
});

test('what a stack kept is named also if its kind is not known', async () => {
  const resources = [
    resource('AWS::SNS::Topic', 'arn:aws:sns:eu-west-1:123456789012:x', 'DELETE_SKIPPED'),
    resource('AWS::SNS::Topic', 'arn:aws:sns:eu-west-1:123456789012:y', 'DELETE_COMPLETE'),
  ];
  const left = await find(new Aws('eu-west-1'), resources);
  expect(left.map(({ name }) => name)).toEqual(['arn:aws:sns:eu-west-1:123456789012:x']);
});
