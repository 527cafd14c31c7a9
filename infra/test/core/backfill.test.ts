/** The state machine: its definition by the rules of the language, and what it hands to the function. */
import validate from 'asl-validator';

import { definition } from '../../lib/backfill';
import { argumentsFor, evaluated } from '../batch';

const NAMES = {
  functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:ingest',
  raw: 'raw',
  results: 'results',
  partition: 'aws',
};

/** A batch as the Map makes it of a list of objects: `s3:listObjectsV2` in `ItemReader`, `ItemBatcher` with an input. */
function batch(...keys: string[]): object {
  const listed = { Etag: '"5d41402abc4b2a76b9719d911017c592"', LastModified: 1772355600, StorageClass: 'STANDARD' };
  return {
    BatchInput: { bucket: 'raw' },
    Items: keys.map((Key) => ({ ...listed, Key, Size: Key.endsWith('/') ? 0 : 512 })),
  };
}

test('the definition is one that Step Functions takes', () => {
  const { isValid, errors } = validate(definition(NAMES));
  expect(errors).toEqual([]);
  expect(isValid).toBe(true);
  // The validator does find what is wrong.
  const wrong = JSON.parse(
    JSON.stringify(definition(NAMES)).replace('"StartAt":"Batch"', '"StartAt":"Bacth"'),
  ) as object;
  expect(validate(wrong).isValid).toBe(false);
});

test('whatever failed fails the execution, with the word where it is named', async () => {
  const { States } = definition(NAMES) as { States: Record<string, Record<string, unknown>> };
  expect(States['Ingest']).toMatchObject({ Next: 'Count', ToleratedFailurePercentage: 100 });
  // What `DescribeMapRun` and the Map itself answer, by their references.
  const counts = { Total: 40, Succeeded: 30, Failed: 7, TimedOut: 3, Aborted: 0 };
  const counted = (await evaluated(States['Count']?.['Output'], { result: { ItemCounts: counts } })) as object;
  expect(counted).toEqual({ objects: 40, failed: 10 });
  const [choice] = States['AllDone']?.['Choices'] as { Condition: string; Next: string }[];
  expect([choice?.Next, States['AllDone']?.['Default']]).toEqual(['Done', 'SomeFailed']);
  expect(await evaluated(choice?.Condition, { input: counted })).toBe(false);
  expect(await evaluated(choice?.Condition, { input: { objects: 40, failed: 0 } })).toBe(true);
  expect(States['SomeFailed']).toMatchObject({ Type: 'Fail', Error: 'ObjectsFailed' });
  const manifest = { Bucket: 'results', Key: 'backfill/0a1b/manifest.json' };
  expect(await evaluated(States['SomeFailed']?.['Cause'], { input: counted }, { manifest })).toMatch(
    /^10 of 40 objects are in batches that failed; the manifest s3:\/\/results\/backfill\/0a1b\/manifest\.json names/,
  );
});

test.each([
  ['objects', ['2026/03/01/08/one.gz', '2026/03/01/08/a b+ü%20.json'], 2],
  ['a single object is a list too', ['2026/03/01/08/one.gz'], 1],
  ["a console's folder is left out", ['2026/03/01/08/', '2026/03/01/08/one.gz'], 1],
  ['a folder alone is an empty list', ['2026/03/01/08/'], 0],
])('the function gets a bucket and keys as they are: %s', async (_, keys, length) => {
  const given = await argumentsFor(definition(NAMES), batch(...keys));
  expect(given.FunctionName).toBe(NAMES.functionArn);
  const objects = keys.filter((key) => !key.endsWith('/')).map((key) => ({ key }));
  expect(objects).toHaveLength(length);
  expect(given.Payload).toEqual({ bucket: 'raw', objects });
});
