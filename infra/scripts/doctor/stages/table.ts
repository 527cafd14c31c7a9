/** The tables: whether the catalog has them, as the engine made them, over this lake. */
import { GetTableCommand } from '@aws-sdk/client-glue';

import { unlessMissing } from '../../aws';
import type { Stage } from '../look';

const KEYS = ['year', 'month', 'day', 'hour'];

export const table: Stage = {
  name: 'table',
  async examine(environment, look) {
    const [DatabaseName, name] = [environment.output('glueDbName'), environment.output('athenaTableName')];
    const location = `s3://${environment.output('lakeBucketName')}/`;
    const ingest = environment.get('AWS::Lambda::Function', 'IngestFunction');
    const init =
      `if the lake is empty: aws lambda invoke --function-name ${ingest} --payload '{"init": true}' --cli-binary-format ` +
      `raw-in-base64-out /dev/stdout makes it. Over files that are there: iotlake catalog rebuild --lake ${location} ` +
      `--catalog glue:${DatabaseName} --contract rigado makes it with the columns that they have`;
    for (const Name of [name, `${name}_rejects`]) {
      const found = (await unlessMissing(environment.aws.glue.send(new GetTableCommand({ DatabaseName, Name }))))
        ?.Table;
      if (found === undefined) {
        look.broken(`the table ${DatabaseName}.${Name} is gone`, init);
        continue;
      }
      const { Columns = [], Location = '' } = found.StorageDescriptor ?? {};
      look.fact(Name, `${Columns.length} columns, changed ${environment.ago(found.UpdateTime)}, at ${Location}`);
      if (!Location.startsWith(location)) {
        look.broken(`the table ${Name} is over ${Location || 'nothing'}, not over ${location}`, init);
      }
      const keys = found.PartitionKeys?.map((key) => key.Name) ?? [];
      if (keys.join() !== KEYS.join()) {
        look.broken(`the table ${Name} is partitioned by ${keys.join(', ') || 'nothing'}`, init);
      }
    }
  },
};
