/** The state machine: its definition by the rules of the language, and what it hands to the function. */
import validate from 'asl-validator';

import { definition } from '../../lib/backfill';
import { argumentsFor } from '../batch';

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
