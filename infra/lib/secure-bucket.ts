/**
 * A bucket as all of ours are: private, encrypted, TLS only, with versions, and a lifecycle that ends what is old.
 */
import { aws_s3 as s3, Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** What differs from bucket to bucket. */
export interface SecureBucketProps {
  readonly keepData: boolean;
  /** Where its access is logged; the bucket of the logs itself has none. */
  readonly logs?: s3.IBucket;
  readonly rules?: s3.LifecycleRule[];
}

/** Makes one. */
export function secureBucket(scope: Construct, id: string, props: SecureBucketProps): s3.Bucket {
  return new s3.Bucket(scope, id, {
    encryption: s3.BucketEncryption.S3_MANAGED,
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    versioned: true,
    removalPolicy: props.keepData ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    ...(props.logs === undefined
      ? {}
      : { serverAccessLogsBucket: props.logs, serverAccessLogsPrefix: `${id.toLowerCase()}/` }),
    lifecycleRules: [
      { abortIncompleteMultipartUploadAfter: Duration.days(7), noncurrentVersionExpiration: Duration.days(30) },
      ...(props.rules ?? []),
    ],
  });
}
