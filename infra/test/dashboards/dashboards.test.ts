/** The dashboards' stack as it is synthesized, against the engine's own view. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';

import { DashboardsStack } from '../../lib/dashboards-stack';
import { query, QUERY_COLUMNS, VIEW_COLUMNS, viewOf } from '../../lib/dashboards/data-set';
import { definition, PANELS } from '../../lib/dashboards/panels';
import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { readSettings, type Settings } from '../../lib/settings';
import { SiteWise } from '../../lib/sitewise';
import { MODELS } from '../../lib/sitewise/models';
import { findings } from '../findings';

const repository = path.join(__dirname, '..', '..', '..');
const ADMIN = { quickSightAdminUserName: 'Admin/jane@example.com', quickSightAdminUserRegion: 'us-east-1' };
const settingsOf = (values: Record<string, string>): Settings => readSettings((name) => values[name], {});

const build = (app: App, values: Record<string, string> = {}): { dashboards: DashboardsStack } => {
  const settings = settingsOf({ ...ADMIN, ...values });
  const env = { account: '111122223333', region: 'eu-west-1' };
  const { shared: lake } = new IotlakeStack(app, 'iotlake-int', { env, settings, code: zipsInBucket('code', '') });
  return { dashboards: new DashboardsStack(app, 'iotlake-dashboards-int', { env, settings, lake }) };
};

const synthesize = (values: Record<string, string> = {}): Template =>
  Template.fromStack(build(new App(), values).dashboards);

const template = synthesize();
const DATA_SET = 'AWS::QuickSight::DataSet';

describe('the data set', () => {
  const rust = fs.readFileSync(path.join(repository, 'etl', 'src', 'view', 'rigado.rs'), 'utf8');

  test('has the names and types that the engine tests its view for', () => {
    // The list in the engine's own test: `(ViewType::String, "names \<newline> names")`.
    const listed = [...rust.matchAll(/ViewType::(\w+),\s*"([a-z0-9_. \\\n]+)"/g)].flatMap(([, type, names]) =>
      names!
        .split(/[\s\\]+/)
        .filter((name) => name !== '')
        .map((name) => ({ name, type: type!.toUpperCase() })),
    );
    const byName = (left: { name: string }, right: { name: string }): number => (left.name < right.name ? -1 : 1);
    expect(listed.length).toBe(44);
    expect([...VIEW_COLUMNS].sort(byName)).toEqual(listed.sort(byName));
    expect(rust).toContain('format!("{table}_rigado")');
    expect(viewOf('events')).toBe('events_rigado');
  });

  test('declares the columns of its query, in their order', () => {
    const columns = query('iotlake_int', 'events')
      .replace(/\nFROM[\s\S]*/, '')
      .split(/,\n/)
      .map((column) => /"([^"]+)"$/.exec(column.trim())?.[1]);
    expect(columns).toEqual(QUERY_COLUMNS.map(({ name }) => name));
    template.hasResourceProperties(DATA_SET, {
      ImportMode: 'DIRECT_QUERY',
      PhysicalTableMap: {
        view: {
          CustomSql: Match.objectLike({
            SqlQuery: query('iotlake_int', 'events'),
            Columns: QUERY_COLUMNS.map(({ name, type }) => ({ Name: name, Type: type })),
          }),
        },
      },
    });
    expect(QUERY_COLUMNS).toContainEqual({ name: 'measurements.temperature.string', type: 'DECIMAL' });
  });

  test('reads today and yesterday by the partition keys alone', () => {
    const day = (time: string): string =>
      `("year" = date_format(${time}, '%Y') AND "month" = date_format(${time}, '%m') AND "day" = date_format(${time}, '%d'))`;
    expect(query('iotlake_int', 'events').replace(/^[\s\S]*\nFROM /, '')).toBe(
      `"iotlake_int"."events_rigado"\nWHERE ${day('now()')}\n  OR ${day("now() - INTERVAL '1' DAY")}`,
    );
  });

  test('has the time and the model from its SQL, for a direct query lacks the functions for them', () => {
    expect(QUERY_COLUMNS).toContainEqual({ name: 'time', type: 'DATETIME' });
    expect(QUERY_COLUMNS).toContainEqual({ name: 'model', type: 'STRING' });
    const transforms = Object.values(template.findResources(DATA_SET))[0]?.['Properties'].LogicalTableMap.messages
      .DataTransforms as object[];
    expect(transforms.map((each) => Object.keys(each)).flat()).toEqual(['ProjectOperation']);
    // The third part of `urn:rigado:S1_Sensor:2`.
    expect('urn:rigado:S1_Sensor:2'.split(':')[3 - 1]).toBe('S1_Sensor');
  });

  test('is renewed every hour if it is a copy, and only then', () => {
    template.resourceCountIs('AWS::QuickSight::RefreshSchedule', 0);
    const copy = synthesize({ quickSightImport: 'SPICE' });
    copy.hasResourceProperties(DATA_SET, { ImportMode: 'SPICE' });
    copy.hasResourceProperties('AWS::QuickSight::RefreshSchedule', {
      DataSetId: 'iotlake-int',
      Schedule: Match.objectLike({
        RefreshType: 'FULL_REFRESH',
        ScheduleFrequency: Match.objectLike({ Interval: 'HOURLY' }),
      }),
    });
  });
});

describe('the panels', () => {
  const made = JSON.parse(JSON.stringify(definition('arn'))) as {
    sheets: { visuals: object[]; layouts: { configuration: { gridLayout: { elements: Place[] } } }[] }[];
    filterGroups: { scopeConfiguration: object; filters: { categoryFilter: { configuration: object } }[] }[];
  };
  interface Place {
    elementId: string;
    columnIndex: number;
    columnSpan: number;
    rowIndex: number;
    rowSpan: number;
  }

  test('are the nine of the quickstart, in the analysis and in the dashboard', () => {
    expect(PANELS.map(({ title }) => title)).toEqual([
      'Active devices in the last two days',
      'Messages per minute',
      'Gateways',
      'Last received messages',
      'S1: temperature, °C',
      'HoboMX: temperature, °C',
      'RuuviTag: temperature, °C',
      'RuuviTag: relative humidity, %',
      'RS40: occupancy',
    ]);
    for (const type of ['AWS::QuickSight::Analysis', 'AWS::QuickSight::Dashboard']) {
      const [resource] = Object.values(template.findResources(type));
      expect(resource?.['Properties'].Definition.Sheets[0].Visuals).toHaveLength(9);
      expect(resource?.['Properties'].SourceEntity).toBeUndefined();
    }
  });

  test('show columns that the data set has, and each field once', () => {
    const known = QUERY_COLUMNS.map(({ name }) => name);
    const text = JSON.stringify(made);
    const used = [...text.matchAll(/"columnName":"([^"]+)"/g)].map(([, name]) => name!);
    expect(used.length).toBeGreaterThan(25);
    expect(used.filter((name) => !known.includes(name))).toEqual([]);
    const [sheet] = made.sheets;
    for (const visual of sheet!.visuals) {
      const fields = [...JSON.stringify(visual).matchAll(/"fieldId":"([^"]+)","column"/g)].map(([, id]) => id!);
      expect(new Set(fields).size).toBe(fields.length);
      const sorted = [...JSON.stringify(visual).matchAll(/"fieldSort":\{"fieldId":"([^"]+)"/g)].map(([, id]) => id!);
      expect(sorted.filter((id) => !fields.includes(id))).toEqual([]);
    }
  });

  test('average by minute, each of one model that the kit has', () => {
    for (const { visuals } of made.sheets) {
      const averages = visuals.filter((visual) => JSON.stringify(visual).includes('"AVERAGE"'));
      expect(averages).toHaveLength(5);
      for (const visual of averages) expect(JSON.stringify(visual)).toContain('"dateGranularity":"MINUTE"');
    }
    expect(
      made.filterGroups.map(({ scopeConfiguration, filters }) => [
        /"visualIds":\["([^"]+)"\]/.exec(JSON.stringify(scopeConfiguration))?.[1],
        filters[0]?.categoryFilter.configuration,
      ]),
    ).toEqual(
      PANELS.filter(({ model }) => model !== undefined).map(({ id, model }) => [
        id,
        { filterListConfiguration: { matchOperator: 'CONTAINS', categoryValues: [model] } },
      ]),
    );
    expect([...new Set(PANELS.flatMap(({ model }) => model ?? []))].sort()).toEqual(Object.keys(MODELS).sort());
  });

  test('stand beside each other and not on each other', () => {
    const places = made.sheets[0]!.layouts[0]!.configuration.gridLayout.elements;
    expect(places.map(({ elementId }) => elementId)).toEqual(PANELS.map(({ id }) => id));
    const taken = new Set<string>();
    for (const { columnIndex, columnSpan, rowIndex, rowSpan } of places) {
      expect(columnIndex + columnSpan).toBeLessThanOrEqual(36);
      for (let column = columnIndex; column < columnIndex + columnSpan; column++) {
        for (let row = rowIndex; row < rowIndex + rowSpan; row++) {
          expect(taken.has(`${column},${row}`)).toBe(false);
          taken.add(`${column},${row}`);
        }
      }
    }
  });
});

test('a template that was given makes analysis and dashboard, on our data set', () => {
  const sourceTemplateArn = 'arn:aws:quicksight:us-east-1:444455556666:template/rigado';
  const given = synthesize({ sourceTemplateArn });
  for (const type of ['AWS::QuickSight::Analysis', 'AWS::QuickSight::Dashboard']) {
    given.hasResourceProperties(type, {
      Definition: Match.absent(),
      SourceEntity: {
        SourceTemplate: {
          Arn: sourceTemplateArn,
          DataSetReferences: [{ DataSetPlaceholder: 'placeholder', DataSetArn: Match.anyValue() }],
        },
      },
    });
  }
});

test('everything belongs to the user, wherever QuickSight knows that name', () => {
  const owned = ['DataSource', 'DataSet', 'Analysis', 'Dashboard'].flatMap((kind) =>
    Object.values(template.findResources(`AWS::QuickSight::${kind}`)).map((resource) => resource['Properties']),
  );
  expect(owned).toHaveLength(4);
  for (const { Permissions } of owned) {
    expect(Permissions).toHaveLength(1);
    expect(JSON.stringify(Permissions[0].Principal)).toContain(
      ':quicksight:us-east-1:111122223333:user/default/Admin/jane@example.com',
    );
  }
  const here = synthesize({ quickSightAdminUserRegion: '' });
  expect(JSON.stringify(here.toJSON())).toContain(':quicksight:eu-west-1:111122223333:user/default/');
});

test('queries run with a role of their own: one workgroup, one database, reading the lake, writing results', () => {
  template.hasResourceProperties('AWS::QuickSight::DataSource', {
    Type: 'ATHENA',
    DataSourceParameters: { AthenaParameters: { WorkGroup: 'iotlake-int', RoleArn: Match.anyValue() } },
  });
  const policies = Object.values(template.findResources('AWS::IAM::Policy'));
  expect(policies).toHaveLength(1);
  const statements = (
    policies[0]!['Properties'].PolicyDocument.Statement as { Action: string | string[]; Resource: unknown }[]
  ).map(({ Action, Resource }) => ({ actions: [Action].flat(), resource: JSON.stringify(Resource) }));
  const mayDo = (action: string): string[] =>
    statements.filter(({ actions }) => actions.includes(action)).map(({ resource }) => resource);
  expect(mayDo('athena:StartQueryExecution')).toEqual([expect.stringContaining(':workgroup/iotlake-int')]);
  expect(mayDo('glue:GetTable')).toEqual([expect.stringContaining(':table/iotlake_int/*')]);
  const lake = expect.stringMatching(/^(?=.*ExportsOutputFnGetAttDataLake[0-9A-F]{8}Arn)(?!.*DataLakeResults)/);
  const results = expect.stringMatching(/^(?=.*DataLakeResults)(?!.*DataLake[0-9A-F]{8}Arn)/);
  expect(mayDo('s3:GetObject')).toEqual([lake, results]);
  expect(mayDo('s3:PutObject')).toEqual([results]);
  const all = statements.flatMap(({ actions }) => actions);
  expect(all.filter((action) => /\*|Delete|Update|Create/.test(action))).toEqual([]);
  expect(statements.filter(({ resource }) => resource === '"*"')).toEqual([]);
});

test('the dashboard needs the view, and settings that can be meant', () => {
  expect(() => settingsOf({ ...ADMIN, contract: 'default' })).toThrow(/only rigado has/);
  expect(() =>
    settingsOf({ quickSightAdminUserRegion: 'here', sourceTemplateArn: 'x', quickSightImport: 'no' }),
  ).toThrow(/quickSightAdminUserRegion.*quickSightImport.*sourceTemplateArn/s);
});

test('cdk-nag finds nothing that is not answered for', () => {
  const found = findings((app) => {
    build(app, { quickSightImport: 'SPICE' });
    const live = new Stack(app, 'live');
    new SiteWise(live, 'SiteWise', {
      settings: settingsOf({ sitewise: 'true', sitewiseDevices: 'RuuviTag=c0ffee000001' }),
    });
  });
  expect(found).toEqual([]);
});
