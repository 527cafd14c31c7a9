/**
 * What AWS documents, asked of every template under every combination of settings that matters; and each rule asked of
 * a template that breaks it, so that a rule that finds nothing is known to be able to find something.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { RULES } from '../../rules';
import { METRICS } from '../../rules/metrics';
import { Template } from '../../rules/template';
import before from './before.json';
import { everyTemplate, type Stacks } from './deployments';
import { BROKEN } from './small';

const folder = path.join(__dirname, '..', '..', 'rules');
const repository = path.join(folder, '..', '..');
const NO_RULES = ['index', 'metrics', 'rule', 'template'];

jest.setTimeout(120_000);

/** Rules whose faults the first release had, each with a part of what the template at that time is found to do. */
const FOUND_BEFORE: Readonly<Record<string, RegExp>> = {
  'alarm-metrics': /RuleErrors.*AWS\/IoT ErrorActionSuccess is written by ActionType,RuleName, not by RuleName/,
  'alarms-may-publish': /Contact.*no alarm may publish/,
  'billing-region': /Cost/,
  'custom-resource-timeout': /InitCall.*is waited for an hour/,
  'custom-resources-change': /InitCall.*does not change with the code of IngestFunction/,
  'direct-query-functions': /epochDate/,
  'domain-words': /prefix .* may contain cognito/,
  'firehose-trust': /aws:SourceAccount/,
  images: /rust:1\.95-trixie/,
  'kept-data-is-readable': /DataLakeDatabase/,
  'map-failures-count': /the Map Ingest tolerates failures/,
  projection: /RawTable.* projects 714240 partitions/,
  'token-endpoint': /Wizard.* is refused at the token endpoint/,
};

describe('each rule', () => {
  const files = fs
    .readdirSync(folder)
    .map((file) => path.basename(file, '.ts'))
    .filter((name) => !NO_RULES.includes(name));

  test('is a file, and each file is a rule that is asked', () => {
    expect(files.sort()).toEqual(Object.keys(RULES).sort());
    expect(files.length).toBeGreaterThanOrEqual(20);
  });

  test.each(files)('%s opens with a sentence of AWS and its address', (name) => {
    const source = fs.readFileSync(path.join(folder, `${name}.ts`), 'utf8');
    expect(source).toMatch(
      /^\/\*\*\n \* "[^]{30,}?"\n \* https:\/\/(docs\.aws\.amazon\.com|repost\.aws\/knowledge-center)\/\S+\n/,
    );
  });

  test.each(Object.entries(RULES))('%s finds what breaks it, and only that', (name, rule) => {
    const { wrong, right } = BROKEN[name] ?? {};
    if (wrong === undefined || right === undefined) throw new Error(`test/rules/small.ts has no templates for ${name}`);
    const templates = (bodies: readonly object[]): Template[] => bodies.map((body) => new Template('small', body));
    const found = (all: Template[]): string[] => [
      ...all.flatMap((each) => rule.check(each)),
      ...(rule.across?.(all) ?? []),
    ];
    expect(found(templates(wrong)).length).toBeGreaterThan(0);
    expect(found(templates(right))).toEqual([]);
  });
});

test.each(Object.entries(FOUND_BEFORE))('%s finds the fault in the template before it was mended', (name, expected) => {
  const old = Object.entries(before).map(([stack, body]) => new Template(stack, body));
  expect(old.flatMap((template) => RULES[name]?.check(template) ?? []).join('\n')).toMatch(expected);
});

test('exports-stay finds that an option made the exports', () => {
  const with_ = new Template('with a user of QuickSight', before.core);
  const without = new Template('without', { Resources: before.core.Resources });
  expect(RULES['exports-stay']?.across?.([with_, without])).toHaveLength(2);
});

describe('every template', () => {
  let stacks: Stacks;
  beforeAll(() => (stacks = everyTemplate()));

  test('all combinations are there', () => {
    const count = Object.fromEntries(Object.entries(stacks).map(([name, templates]) => [name, templates.length]));
    expect(count).toEqual({ core: 19, dashboards: 8, pipeline: 1, release: 1, 'release-dashboards': 1 });
  });

  test.each(Object.entries(RULES))('keeps %s', (_, rule) => {
    const all = Object.values(stacks).flat();
    const found = all.flatMap((template) => rule.check(template).map((line) => `${template.name}: ${line}`));
    const between = Object.values(stacks).flatMap((templates) => rule.across?.(templates) ?? []);
    expect([...found, ...between]).toEqual([]);
  });
});

test("our own metrics are those that the functions' sources write", () => {
  const ingest = fs.readFileSync(path.join(repository, 'etl', 'src', 'ingest', 'telemetry.rs'), 'utf8');
  const onboarding = fs.readFileSync(path.join(repository, 'onboarding', 'src', 'telemetry.rs'), 'utf8');
  for (const [namespace, source] of [
    ['iotlake/*', ingest],
    ['iotlake/onboarding', onboarding],
  ] as const) {
    for (const [name, dimensions] of Object.entries(METRICS[namespace] ?? {})) {
      expect(source).toContain(`"${name}"`);
      for (const dimension of dimensions.flatMap((each) => each.split(','))) expect(source).toContain(`"${dimension}"`);
    }
  }
});
