/**
 * Buckets are emptied with all versions and delete markers, and deleted if their stack kept them.
 *
 * What must stay true: only what the command was told to remove is removed; a bucket that is not there is empty.
 */
import {
  AbortMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type ObjectIdentifier,
  type S3Client,
} from '@aws-sdk/client-s3';

import { Failure } from '../arguments';
import { isMissing, unlessMissing } from '../aws';

/** Whether a bucket is there. */
export async function exists(client: S3Client, bucket: string): Promise<boolean> {
  return (await unlessMissing(client.send(new HeadBucketCommand({ Bucket: bucket })))) !== undefined;
}

/** Whether there is anything in a bucket, old versions included. */
export async function isEmpty(client: S3Client, bucket: string): Promise<boolean> {
  const answer = await unlessMissing(client.send(new ListObjectVersionsCommand({ Bucket: bucket, MaxKeys: 1 })));
  return (answer?.Versions?.length ?? 0) + (answer?.DeleteMarkers?.length ?? 0) === 0;
}

/** Removes all versions, markers and unfinished uploads; answers with how many versions and markers there were. */
export async function empty(client: S3Client, bucket: string): Promise<number> {
  let removed = 0;
  try {
    for (;;) {
      // The first page each time: what was on it is gone, and what came meanwhile is seen.
      const page = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
      const objects = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map(
        ({ Key, VersionId }): ObjectIdentifier => ({ Key, VersionId }),
      );
      if (objects.length === 0) break;
      await removeAll(client, bucket, objects);
      removed += objects.length;
    }
    for (;;) {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      if (Uploads.length === 0) break;
      for (const { Key, UploadId } of Uploads) {
        await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }));
      }
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return removed;
}

/** Empties and deletes a bucket that no stack has any more. */
export async function remove(client: S3Client, bucket: string): Promise<void> {
  await empty(client, bucket);
  await unlessMissing(client.send(new DeleteBucketCommand({ Bucket: bucket })));
}

async function removeAll(client: S3Client, bucket: string, objects: ObjectIdentifier[]): Promise<void> {
  const request = { Bucket: bucket, Delete: { Objects: objects, Quiet: true } };
  const { Errors } = await client.send(new DeleteObjectsCommand(request));
  const [first] = Errors ?? [];
  if (first === undefined) return;
  throw new Failure(
    `${Errors?.length} objects of ${bucket} cannot be deleted, such as ${first.Key}: ${first.Code}: ${first.Message}`,
    'an object lock or a bucket policy may forbid it',
  );
}
