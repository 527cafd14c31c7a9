/** After all tests: away with the folder that `begin.ts` made. */
import { rmSync } from 'node:fs';

export default function end(): void {
  const folder = process.env.IOTLAKE_TEST_FOLDER;
  // A server that was killed may still be about to write.
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
