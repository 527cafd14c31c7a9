/**
 * Before all tests: one folder for what they, CDK and the servers that they start leave in the folder for temporary files.
 *
 * CDK makes one for each application that is synthesized, and removes none.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default function begin(): void {
  process.env.TMPDIR = process.env.IOTLAKE_TEST_FOLDER = mkdtempSync(join(tmpdir(), 'iotlake-infra-'));
}
