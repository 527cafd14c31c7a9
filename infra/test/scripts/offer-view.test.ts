/** Offering the view under the quickstart's names, against a server that keeps a Glue catalog. */
import { CreateDatabaseCommand, CreateTableCommand, GetTableCommand, type TableInput } from '@aws-sdk/client-glue';

import { Aws } from '../../scripts/aws';
import { look, offer } from '../../scripts/view/offer';
import { describeWithServer, start, type StandIn } from './stand-in';

jest.setTimeout(90_000);

const VIEW = { database: 'iotlake_int', table: 'events_rigado' };
const AS = { database: 'quickstart', table: 'all' };

/** A view as the engine registers it. */
function view(sql: string): TableInput {
  const stored = Buffer.from(JSON.stringify({ originalSql: sql, catalog: 'awsdatacatalog', schema: VIEW.database }));
  return {
    Name: VIEW.table,
    TableType: 'VIRTUAL_VIEW',
    StorageDescriptor: { Columns: [{ Name: 'ts', Type: 'bigint' }], Location: '', SerdeInfo: {} },
    PartitionKeys: [],
    ViewOriginalText: `/* Presto View: ${stored.toString('base64')} */`,
    ViewExpandedText: '/* Presto View */',
    Parameters: { presto_view: 'true', comment: 'Presto View', 'iotlake.view': '{}', 'iotlake.format': '1' },
  };
}

describeWithServer('offer-view', () => {
  let server: StandIn;
  let aws: Aws;

  beforeAll(async () => {
    server = await start();
    aws = new Aws('eu-west-1');
    await aws.glue.send(new CreateDatabaseCommand({ DatabaseInput: { Name: VIEW.database } }));
  });

  afterAll(async () => server.stop());

  const there = async (name: typeof AS): Promise<TableInput | undefined> =>
    (await aws.glue.send(new GetTableCommand({ DatabaseName: name.database, Name: name.table }))).Table as TableInput;

  test('without a view of iotlake there is nothing to offer, and nothing changes', async () => {
    await expect(offer(aws.glue, { view: VIEW, as: AS })).rejects.toThrow('there is no view iotlake_int.events_rigado');
    expect(await look(aws.glue, AS)).toBe('no database');
  });

  test('the old stack is gone with its database: both are made, and made again', async () => {
    await aws.glue.send(new CreateTableCommand({ DatabaseName: VIEW.database, TableInput: view('SELECT 1 AS ts') }));
    for (let round = 1; round <= 2; round += 1) {
      await offer(aws.glue, { view: VIEW, as: AS });
      expect(await look(aws.glue, AS)).toBe('view');
      const copy = await there(AS);
      expect(copy?.ViewOriginalText).toBe(view('SELECT 1 AS ts').ViewOriginalText);
      expect(copy?.Parameters).toEqual({ presto_view: 'true', comment: 'Presto View' });
    }
  });

  test('a table is replaced only if its definition is kept, and the kept one makes it again', async () => {
    const as = { database: AS.database, table: 'refined' };
    const old: TableInput = {
      Name: as.table,
      TableType: 'EXTERNAL_TABLE',
      StorageDescriptor: { Columns: [{ Name: 'ts', Type: 'bigint' }], Location: 's3://refined/all/' },
      PartitionKeys: [{ Name: 'year', Type: 'string' }],
      Parameters: { classification: 'parquet' },
    };
    await aws.glue.send(new CreateTableCommand({ DatabaseName: as.database, TableInput: old }));
    await expect(offer(aws.glue, { view: VIEW, as })).rejects.toThrow('quickstart.refined is a table');
    const failing = { view: VIEW, as, keep: () => Promise.reject(new Error('disk full')) };
    await expect(offer(aws.glue, failing)).rejects.toThrow('disk full');
    expect(await look(aws.glue, as)).toBe('table');

    const kept: TableInput[] = [];
    const keep = (definition: TableInput): Promise<void> => Promise.resolve(void kept.push(definition));
    await offer(aws.glue, { view: VIEW, as, keep });
    expect(await look(aws.glue, as)).toBe('view');
    expect(kept).toEqual([expect.objectContaining(old)]);
  });
});
