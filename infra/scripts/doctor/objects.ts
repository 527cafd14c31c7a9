/**
 * The newest object below folders that are named by time, found by going down the last folder of each level: a handful
 * of requests, however many objects there are.
 */
import { ListObjectsV2Command, paginateListObjectsV2, type S3Client, type _Object } from '@aws-sdk/client-s3';

/** Pages of a thousand that are read of one folder, at most. */
const PAGES = 20;

/** The newest objects of the newest folder below a prefix, newest first. */
export async function newest(s3: S3Client, bucket: string, prefix: string): Promise<readonly _Object[]> {
  const folder = await lastFolder(s3, bucket, prefix);
  if (folder === undefined) return [];
  const found: _Object[] = [];
  let pages = 0;
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket: bucket, Prefix: folder })) {
    found.push(...(page.Contents ?? []).filter(({ Key = '' }) => !Key.endsWith('/')));
    pages += 1;
    if (pages === PAGES) break;
  }
  const time = ({ LastModified }: _Object): number => LastModified?.getTime() ?? 0;
  return found.sort((one, other) => time(other) - time(one));
}

/** The deepest of the last folders whose names are numbers; nothing if there is none. */
async function lastFolder(s3: S3Client, bucket: string, prefix: string): Promise<string | undefined> {
  let at: string | undefined;
  for (;;) {
    const below: string[] = [];
    const asked = { Bucket: bucket, Prefix: at ?? prefix, Delimiter: '/' };
    const { CommonPrefixes = [] } = await s3.send(new ListObjectsV2Command(asked));
    for (const { Prefix = '' } of CommonPrefixes)
      if (/^\d+\/$/.test(Prefix.slice(asked.Prefix.length))) below.push(Prefix);
    const last = below.sort().at(-1);
    if (last === undefined) return at;
    at = last;
  }
}
