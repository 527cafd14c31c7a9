//! One write of an object to S3: in one request, or in parts if it is large.
//!
//! In come bytes and a condition; out comes whether S3 took them. What must stay true: an object appears whole, for
//! the parts become an object only in the last request, which is also the one that carries the condition; parts of a
//! write that failed are removed, for they would be paid for; and no more than [`AT_ONCE`] parts are copied at a time.

use std::collections::HashMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::upload_part::{UploadPartError, UploadPartOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::task::JoinSet;

use super::{Condition, NOTE, S3Storage, WRITE, Write, Written, status};
use crate::storage::Result;

/// Larger objects go in parts: a part that fails is sent again alone, and several are under way at once.
const IN_PARTS: usize = 16 << 20;

/// The least size of a part; S3 wants 5 MiB.
const PART: usize = 8 << 20;

/// The most parts that S3 allows.
const PARTS: usize = 10_000;

/// Parts under way at once.
const AT_ONCE: usize = 4;

/// Smaller bodies are sent well within the time that the first byte of any answer may take, on lines of 35 kB a second
/// too, so that a request that hangs is given up as early as one without a body.
const QUICK: usize = 1 << 20;

/// A client for requests with large bodies. The first byte of an answer can come only after the last one of the body,
/// which may take its time on a slow line; that the line stands still is noticed by itself.
pub(super) fn client(client: &Client) -> Client {
    let timeouts =
        client.config().timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
    let patient = client.config().to_builder().timeout_config(timeouts.disable_read_timeout().build());
    Client::from_conf(patient.build())
}

/// Writes once.
pub(super) fn write(storage: &S3Storage, write: Write<'_>) -> Result<Written> {
    if write.bytes.len() <= IN_PARTS {
        return whole(storage, write);
    }
    // Better asked now than found out after so many bytes.
    if matches!(write.condition, Condition::Absent) && storage.describe(write.key)?.is_some() {
        return Ok(Written::Refused);
    }
    in_parts(storage, write)
}

fn whole(storage: &S3Storage, write: Write<'_>) -> Result<Written> {
    let (absent, version) = write.condition.headers();
    let client = if write.bytes.len() <= QUICK { &storage.client } else { &storage.uploads };
    let request = client
        .put_object()
        .bucket(&storage.bucket)
        .key(storage.full(write.key))
        .set_if_none_match(absent)
        .set_if_match(version)
        .set_metadata(Some(metadata(write)))
        .body(ByteStream::from(write.bytes.to_vec()));
    match storage.aws.wait(request.send()) {
        Ok(_) => Ok(Written::Done),
        Err(error) => refused(storage, write, &error),
    }
}

fn in_parts(storage: &S3Storage, write: Write<'_>) -> Result<Written> {
    let key = storage.full(write.key);
    let create = storage.client.create_multipart_upload().bucket(&storage.bucket).key(&key);
    let upload = storage.aws.wait(create.set_metadata(Some(metadata(write))).send());
    let upload = upload.map_err(|error| storage.error("s3:PutObject", write.key, &error))?;
    let id = upload.upload_id().unwrap_or_default();

    let written = match storage.aws.wait(send_parts(storage, &key, id, write.bytes)) {
        Ok(parts) => complete(storage, write, id, parts),
        Err(error) => Err(storage.error("s3:PutObject", write.key, &error)),
    };
    if !matches!(written, Ok(Written::Done)) {
        let abort = storage.client.abort_multipart_upload().bucket(&storage.bucket).key(&key).upload_id(id);
        // If this fails too, the error that counts is the first one; a lifecycle rule removes such parts in the end.
        let _ = storage.aws.wait(abort.send());
    }
    written
}

/// Sends all parts, a few at a time.
async fn send_parts(
    storage: &S3Storage,
    key: &str,
    id: &str,
    bytes: &[u8],
) -> Result<Vec<CompletedPart>, SdkError<UploadPartError>> {
    let size = PART.max(bytes.len().div_ceil(PARTS));
    let mut under_way = JoinSet::new();
    let mut done = Vec::new();
    for (number, part) in (1..).zip(bytes.chunks(size)) {
        if under_way.len() == AT_ONCE {
            done.extend(next_done(&mut under_way).await?);
        }
        let request = storage.uploads.upload_part().bucket(&storage.bucket).key(key).upload_id(id);
        let request = request.part_number(number).body(ByteStream::from(part.to_vec()));
        under_way.spawn(async move { request.send().await.map(|part| completed(number, &part)) });
    }
    // An error drops the others, and with that ends them.
    while let Some(part) = next_done(&mut under_way).await? {
        done.push(part);
    }
    done.sort_by_key(CompletedPart::part_number);
    Ok(done)
}

type Part = Result<CompletedPart, SdkError<UploadPartError>>;

/// The next part to be done, in any order; `None` if none is under way.
async fn next_done(
    under_way: &mut JoinSet<Part>,
) -> Result<Option<CompletedPart>, SdkError<UploadPartError>> {
    match under_way.join_next().await {
        None => Ok(None),
        Some(Ok(part)) => part.map(Some),
        Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What S3 wants to hear again of a part that it has.
fn completed(number: i32, part: &UploadPartOutput) -> CompletedPart {
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(part.e_tag().map(str::to_owned))
        .set_checksum_crc32(part.checksum_crc32().map(str::to_owned))
        .set_checksum_crc32_c(part.checksum_crc32_c().map(str::to_owned))
        .set_checksum_crc64_nvme(part.checksum_crc64_nvme().map(str::to_owned))
        .set_checksum_sha1(part.checksum_sha1().map(str::to_owned))
        .set_checksum_sha256(part.checksum_sha256().map(str::to_owned))
        .build()
}

/// Makes an object of the parts.
fn complete(storage: &S3Storage, write: Write<'_>, id: &str, parts: Vec<CompletedPart>) -> Result<Written> {
    let (absent, version) = write.condition.headers();
    let request = storage
        .uploads
        .complete_multipart_upload()
        .bucket(&storage.bucket)
        .key(storage.full(write.key))
        .upload_id(id)
        .set_if_none_match(absent)
        .set_if_match(version)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
    match storage.aws.wait(request.send()) {
        Ok(_) => Ok(Written::Done),
        // An earlier try of this request may have made the object; its reply was lost.
        Err(error) if error.code() == Some("NoSuchUpload") && storage.is_ours(write)? => Ok(Written::Done),
        Err(error) => refused(storage, write, &error),
    }
}

/// Tells a condition that does not hold from other errors.
fn refused<E>(storage: &S3Storage, write: Write<'_>, error: &SdkError<E>) -> Result<Written>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let is_conditional = !matches!(write.condition, Condition::Always);
    match (status(error), error.code()) {
        (Some(412), _) if is_conditional => Ok(Written::Refused),
        // The object that should have had a certain version is gone.
        (Some(404), Some("NoSuchKey")) if matches!(write.condition, Condition::Version(_)) => {
            Ok(Written::Refused)
        }
        (Some(409), _) => Ok(Written::PutOff),
        _ => Err(storage.error("s3:PutObject", write.key, error)),
    }
}

fn metadata(write: Write<'_>) -> HashMap<String, String> {
    let note = write.note.map(|note| (NOTE.to_owned(), note.to_owned()));
    [(WRITE.to_owned(), write.token.to_owned())].into_iter().chain(note).collect()
}
