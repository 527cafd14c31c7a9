/** SiteWise: models, rules, assets, and the Grafana dashboard over them, as they are synthesized. */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as ts from 'typescript';

import { IotlakeStack } from '../../lib/iotlake-stack';
import { zipsInBucket } from '../../lib/lambda-code';
import { readSettings, type Settings } from '../../lib/settings';
import { SiteWise } from '../../lib/sitewise';
import { alias, MEASUREMENTS, modelName, MODELS, type ModelName } from '../../lib/sitewise/models';

const settingsOf = (values: Record<string, string>): Settings => readSettings((name) => values[name], {});

const synthesize = (values: Record<string, string> = {}): Template => {
  const stack = new Stack(new App(), 'stack');
  new SiteWise(stack, 'SiteWise', { settings: settingsOf({ sitewise: 'true', ...values }) });
  return Template.fromStack(stack);
};

const template = synthesize();

/** What the compiler finds wrong in a text that stands beside this file. */
function mistakes(text: string): string[] {
  const file = path.join(__dirname, 'dashboard-in-memory.ts');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022) : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
}
const MODEL = 'AWS::IoTSiteWise::AssetModel';
const ASSET = 'AWS::IoTSiteWise::Asset';
const RULE = 'AWS::IoT::TopicRule';

test('four models with a device id, units and data types, under one root', () => {
  template.resourceCountIs(MODEL, 5);
  const expected: Record<ModelName, object[]> = {
    HoboMX100: [{ Name: 'Temperature', DataType: 'DOUBLE', Unit: 'C' }],
    RS40_Occupancy_Sensor: [{ Name: 'Occupancy', DataType: 'BOOLEAN' }],
    RuuviTag: [
      { Name: 'Temperature', DataType: 'DOUBLE', Unit: 'C' },
      { Name: 'Humidity', DataType: 'DOUBLE', Unit: 'RH' },
    ],
    S1_Sensor: [{ Name: 'Temperature', DataType: 'DOUBLE', Unit: 'C' }],
  };
  expect(Object.keys(MODELS).sort()).toEqual(Object.keys(expected).sort());
  for (const [name, measurements] of Object.entries(expected)) {
    template.hasResourceProperties(MODEL, {
      AssetModelName: `iotlake-int-${name}`,
      AssetModelProperties: [
        { Name: 'DeviceId', LogicalId: 'DeviceId', DataType: 'STRING', Type: { TypeName: 'Attribute' } },
        ...measurements.map((measurement) => Match.objectLike({ ...measurement, Type: { TypeName: 'Measurement' } })),
      ],
    });
  }
  template.hasResourceProperties(MODEL, {
    AssetModelName: 'iotlake-int',
    AssetModelHierarchies: Object.keys(expected).map((Name) => Match.objectLike({ Name, LogicalId: Name })),
  });
});

test.each([
  ['Temperature', 'isUndefined(abs(measurements.temperature)) = false', { DoubleValue: '${measurements.temperature}' }],
  ['Humidity', 'isUndefined(abs(measurements.humidity)) = false', { DoubleValue: '${measurements.humidity}' }],
  [
    'Occupancy',
    '(measurements.occupied = true OR measurements.occupied = false)',
    { BooleanValue: '${measurements.occupied}' },
  ],
])('%s is written by an entry of its own, and only where it is present', (name, condition, Value) => {
  template.hasResourceProperties(RULE, {
    RuleName: `iotlake_int_live_${name.toLowerCase()}`,
    TopicRulePayload: Match.objectLike({
      AwsIotSqlVersion: '2016-03-23',
      Sql: `SELECT * FROM 'data/#' WHERE isUndefined(device.deviceId) = false AND ${condition}`,
      Actions: [
        {
          IotSiteWise: Match.objectLike({
            PutAssetPropertyValueEntries: [
              {
                PropertyAlias: `\${device.deviceId}${name}`,
                PropertyValues: [
                  { Timestamp: { TimeInSeconds: '${floor(timestamp() / 1E3)}' }, Quality: 'GOOD', Value },
                ],
              },
            ],
          }),
        },
      ],
      ErrorAction: { CloudwatchLogs: Match.anyValue() },
    }),
  });
  template.resourceCountIs(RULE, 3);
});

test('what the rules read is what the kit sends', () => {
  // The contract of the engine names the paths of the kit's messages.
  const contract = path.join(__dirname, '..', '..', '..', 'etl', 'src', 'contract', 'rigado.toml');
  const declared = [...fs.readFileSync(contract, 'utf8').matchAll(/path = "([^"]+)"/g)].map(([, name]) => name);
  expect(declared.length).toBeGreaterThan(30);
  expect(declared).toEqual(expect.arrayContaining(['device.deviceId', ...MEASUREMENTS.map((each) => each.path)]));
});

test('the role writes values and the log of refusals, nothing else, for this account alone', () => {
  template.hasResourceProperties('AWS::IAM::Role', {
    AssumeRolePolicyDocument: {
      Statement: [
        Match.objectLike({
          Principal: { Service: 'iot.amazonaws.com' },
          Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
        }),
      ],
    },
  });
  const policies = Object.values(template.findResources('AWS::IAM::Policy'));
  expect(policies).toHaveLength(1);
  const statements = policies[0]!['Properties'].PolicyDocument.Statement as { Action: unknown; Resource: unknown }[];
  expect(statements.map(({ Action }) => Action)).toEqual([
    'iotsitewise:BatchPutAssetPropertyValue',
    ['logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents'],
  ]);
  expect(JSON.stringify(statements)).not.toContain('"Resource":"*"');
});

test('no device is listed, no asset is made', () => {
  template.resourceCountIs(ASSET, 0);
});

test('a listed device has an asset with the aliases that the rules write, under the one of the environment', () => {
  const devices = synthesize({ sitewiseDevices: 'RuuviTag=c0ffee000001, S1_Sensor=ac233fa2129e' });
  devices.resourceCountIs(ASSET, 3);
  devices.hasResourceProperties(ASSET, {
    AssetName: 'c0ffee000001',
    AssetProperties: [
      { LogicalId: 'Temperature', Alias: 'c0ffee000001Temperature' },
      { LogicalId: 'Humidity', Alias: 'c0ffee000001Humidity' },
    ],
  });
  devices.hasResourceProperties(ASSET, {
    AssetName: 'ac233fa2129e',
    AssetProperties: [{ LogicalId: 'Temperature', Alias: 'ac233fa2129eTemperature' }],
  });
  devices.hasResourceProperties(ASSET, {
    AssetName: 'iotlake-int',
    AssetHierarchies: [Match.objectLike({ LogicalId: 'RuuviTag' }), Match.objectLike({ LogicalId: 'S1_Sensor' })],
  });
});

test.each(['Ruuvi=a', 'RuuviTag', 'RuuviTag=', 'RuuviTag=a,,S1_Sensor=b', 'RuuviTag=a,S1_Sensor=a', 'toString=a'])(
  'devices `%s` are refused',
  (sitewiseDevices) => {
    expect(() => settingsOf({ sitewise: 'true', sitewiseDevices })).toThrow(/sitewiseDevices.*MODEL=DEVICE/);
  },
);

test('devices without SiteWise are refused, not forgotten', () => {
  expect(() => settingsOf({ sitewiseDevices: 'RuuviTag=a' })).toThrow(/sitewise is false/);
});

test('with it the stack has the output of the quickstart, without it nothing of SiteWise', () => {
  const code = zipsInBucket('code', '');
  const of = (values: Record<string, string>): Template =>
    Template.fromStack(new IotlakeStack(new App(), 'iotlake-int', { settings: settingsOf(values), code }));
  of({ sitewise: 'true' }).hasOutput('iotSitewiseServiceRole', {});
  const without = of({});
  without.resourceCountIs(MODEL, 0);
  expect(Object.keys(without.findOutputs('*'))).not.toContain('iotSitewiseServiceRole');
});

describe('the Grafana dashboard', () => {
  interface Panel {
    id: number;
    type: string;
    title: string;
    repeat?: string;
    gridPos: { h: number; w: number; x: number; y: number };
    targets?: { refId: string; queryType: string; propertyAlias: string }[];
  }
  interface Variable {
    name: string;
    type: string;
    query: string | { queryType: string; filter: string; modelId: string };
  }
  const file = path.join(__dirname, '..', '..', 'grafana', 'live.json');
  const source = fs.readFileSync(file, 'utf8');
  const dashboard = JSON.parse(source) as { panels: Panel[]; templating: { list: Variable[] } };
  const graphs = dashboard.panels.filter(({ type }) => type !== 'row');

  test('lists the devices of each model by the id that the stack gives the model', () => {
    const lists = dashboard.templating.list.filter(({ type }) => type === 'query');
    expect(lists.map(({ name }) => name).sort()).toEqual(Object.keys(MODELS).sort());
    for (const { name, query } of lists) {
      const externalId = modelName('${environment}', name as ModelName);
      expect(query).toMatchObject({ queryType: 'ListAssets', filter: 'ALL', modelId: `externalId:${externalId}` });
      template.hasResourceProperties(MODEL, { AssetModelExternalId: modelName('int', name as ModelName) });
    }
  });

  test('has a panel for each property of each model, which reads the alias that the rule writes', () => {
    const expected = Object.entries(MODELS).flatMap(([model, names]) =>
      names.map((name) => [model, alias(`\${${model}:text}`, name)]),
    );
    const found = graphs.map(({ repeat, targets }) => [repeat, targets?.[0]?.propertyAlias]);
    expect(found.sort()).toEqual(expected.sort());
    for (const { type, targets } of graphs) {
      expect(targets?.[0]?.queryType).toBe('PropertyValueHistory');
      const isBoolean = targets?.[0]?.propertyAlias.endsWith('Occupancy');
      expect(type).toBe(isBoolean === true ? 'state-timeline' : 'timeseries');
    }
  });

  test("is what Grafana's own schema calls a dashboard", () => {
    // A mapping's kind is an enumeration there, which a literal of JSON is not assignable to.
    const literal = source.replaceAll('"type": "value"', '"type": MappingType.ValueToText');
    const names = [...new Set([...literal.matchAll(/MappingType/g)].map(([name]) => name)), 'type Dashboard'];
    const text = `import { ${names.join(', ')} } from '@grafana/schema';\nexport const dashboard: Dashboard = ${literal};\n`;
    expect(mistakes(text)).toEqual([]);
    // The check bites: a panel's place is needed, and a version is a number.
    expect(mistakes(text.replace('"schemaVersion": 39', '"schemaVersion": "39"')).join()).toContain('not assignable');
    expect(mistakes(text.replace('"drawStyle"', '"type": 1, "drawStyle"').replace('"h": 1,', '')).join()).toContain(
      "'h'",
    );
  }, 60_000);

  test('uses no variable that it does not have, no id twice, no place twice', () => {
    const variables = dashboard.templating.list.map(({ name }) => name);
    const used = [...source.matchAll(/\$\{(\w+)/g)].map(([, name]) => name);
    expect(used.filter((name) => !variables.includes(name!))).toEqual([]);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const places = dashboard.panels.map(({ gridPos }) => gridPos);
    for (const [index, place] of places.entries()) {
      expect(place.x + place.w).toBeLessThanOrEqual(24);
      const overlaps = places
        .slice(index + 1)
        .filter(
          (o) => place.x < o.x + o.w && o.x < place.x + place.w && place.y < o.y + o.h && o.y < place.y + place.h,
        );
      expect(overlaps).toEqual([]);
    }
  });
});
