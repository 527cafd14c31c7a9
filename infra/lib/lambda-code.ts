/**
 * Where a function's zip comes from: a file that `make lambda` built, or a bucket, for the form without a toolchain.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';

import { aws_lambda as lambda, aws_s3 as s3, Validations } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** The functions that are built from Rust. */
export type Binary = 'ingest' | 'onboarding';

/** Gives the code of a function. */
export type CodeSource = (scope: Construct, binary: Binary) => lambda.Code;

/** Zips in a folder. One that is missing stops the synthesis with what to do. */
export function zipsIn(directory: string): CodeSource {
  return (_, binary) => {
    const zip = path.join(directory, `${binary}-arm64.zip`);
    if (!fs.existsSync(zip)) {
      throw new Error(`${zip} is missing: run \`make lambda\`, or name the folder with -c lambdaDirectory=FOLDER`);
    }
    return lambda.Code.fromAsset(zip);
  };
}

/** Zips in a bucket of the region that is deployed to, all under one prefix, which is empty or ends in a slash. */
export function zipsInBucket(bucket: string, prefix: string): CodeSource {
  return (scope, binary) => {
    const of = s3.Bucket.fromBucketName(scope, 'Code', bucket);
    Validations.of(of).acknowledge({
      id: 'Annotation::@aws-cdk/aws-lambda:codeFromBucketObjectVersionNotSpecified',
      reason: 'Each release has a prefix of its own, so that another version is another key',
    });
    return lambda.Code.fromBucketV2(of, `${prefix}${binary}-arm64.zip`);
  };
}
