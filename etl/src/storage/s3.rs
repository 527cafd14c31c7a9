//! Objects below a prefix of an S3 bucket, or of a server that speaks S3.
//!
//! Keys go in and come out relative to the prefix; on the wire and in URIs they are never anything but themselves.
//! What must stay true: conditions (`If-None-Match`, `If-Match`) are left to S3, which alone can tell who came first;
//! a body that breaks off is fetched on from where it broke, of the very same version, before it counts as short; and
//! what one request more can find out is not guessed: whether an object is our own after a reply was lost.
//!
//! S3 answers a condition with 409 while another write of the key is under way; such a write is tried again. It
//! answers 404 to HEAD, which has no body, for an object and for a bucket alike: [`Storage::head`] tells `None`, and
//! every other method that there is no such bucket.

mod reader;
#[cfg(test)]
mod tests;
mod upload;

use std::io::Read;
use std::ops::Range;
use std::thread;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;

use self::reader::{NO_LENGTH, Opened, Reader, size_of, unexpected};
use super::{Body, ObjectMeta, Put, Result, Storage, StorageError, Swap, Visitor, check_key};
use crate::aws::{Aws, remote};
use crate::remote::{Fault, RemoteError};

/// The name of the user metadata that holds [`ObjectMeta::note`].
const NOTE: &str = "iotlake-note";

/// The name of the user metadata that tells one write from another of the same bytes.
const WRITE: &str = "iotlake-write";

/// Tries of a conditional write that S3 puts off because another one is under way.
const CONFLICTS: u32 = 12;

/// Objects of an S3 bucket whose keys begin with a prefix.
#[derive(Debug, Clone)]
pub struct S3Storage {
    aws: Aws,
    client: Client,
    /// As `client`, for requests that are long under way before S3 has anything to answer.
    uploads: Client,
    bucket: String,
    /// Empty, or ends with `/`.
    prefix: String,
}

/// On what a write depends.
#[derive(Debug, Clone, Copy)]
enum Condition<'a> {
    /// On nothing.
    Always,
    /// That there is no object.
    Absent,
    /// That the object has this etag.
    Version(&'a str),
}

impl Condition<'_> {
    /// The values of `If-None-Match` and of `If-Match`.
    fn headers(self) -> (Option<String>, Option<String>) {
        match self {
            Condition::Always => (None, None),
            Condition::Absent => (Some("*".to_owned()), None),
            Condition::Version(etag) => (None, Some(quoted(etag))),
        }
    }
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Done,
    /// The condition does not hold; or did not after the first try of this very write, whose reply was lost.
    Refused,
    /// Another write is under way.
    PutOff,
}

/// What is written, and how it can be told from others.
#[derive(Debug, Clone, Copy)]
struct Write<'a> {
    key: &'a str,
    bytes: &'a [u8],
    note: Option<&'a str>,
    condition: Condition<'a>,
    /// Differs for every write.
    token: &'a str,
}

impl S3Storage {
    /// The objects of `bucket` whose keys begin with `prefix` and a `/`; all of them if `prefix` is empty.
    pub fn new(aws: &Aws, bucket: impl Into<String>, prefix: &str) -> S3Storage {
        let client = aws.s3();
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        S3Storage {
            aws: aws.clone(),
            uploads: upload::client(&client),
            client,
            bucket: bucket.into(),
            prefix,
        }
    }

    /// The objects below `s3://bucket/prefix`, `s3://bucket/` or `s3://bucket`.
    ///
    /// # Errors
    /// [`StorageError::InvalidUri`] if it is not of this form.
    pub fn parse(aws: &Aws, uri: &str) -> Result<S3Storage> {
        let (bucket, prefix) = parse(uri)?;
        Ok(S3Storage::new(aws, bucket, prefix))
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn error<E>(&self, operation: &str, key: &str, error: &SdkError<E>) -> StorageError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let uri = self.uri(key);
        let is_get = operation == "s3:GetObject";
        // An object that was deleted meanwhile, or never was. Where the bucket itself is missing there is a code.
        if is_get
            && status(error) == Some(404)
            && matches!(error.code(), None | Some("NoSuchKey" | "NotFound"))
        {
            return StorageError::NotFound { uri };
        }
        let mut error = remote(operation, uri, error);
        if is_get && error.fault == Fault::Denied {
            error.message +=
                "; S3 says so too of an object that is not there, if the caller has no s3:ListBucket";
        }
        StorageError::Remote(Box::new(error))
    }

    /// What S3 tells of an object without its content; `None` if there is none.
    fn describe(&self, key: &str) -> Result<Option<HeadObjectOutput>> {
        check_readable(key)?;
        let request = self.client.head_object().bucket(&self.bucket).key(self.full(key));
        match self.aws.wait(request.send()) {
            Ok(output) => Ok(Some(output)),
            Err(error) => match self.error("s3:GetObject", key, &error) {
                StorageError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Opens the bytes in `range`, as far as the object has them.
    fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Opened> {
        check_readable(key)?;
        Reader::open(self, key, range)
    }

    fn write(&self, key: &str, bytes: &[u8], note: Option<&str>, condition: Condition<'_>) -> Result<bool> {
        check_key(key)?;
        let token = format!("{:032x}", fastrand::u128(..));
        let write = Write { key, bytes, note, condition, token: &token };
        let mut wait = Duration::from_millis(20);
        for _ in 0..CONFLICTS {
            match upload::write(self, write)? {
                Written::Done => return Ok(true),
                // The client itself repeats a request whose reply was lost; then the object in the way is ours.
                Written::Refused => return self.is_ours(write),
                Written::PutOff => {
                    thread::sleep(wait.mul_f64(0.5 + fastrand::f64()));
                    wait = (wait * 2).min(Duration::from_secs(2));
                }
            }
        }
        Err(StorageError::Remote(Box::new(RemoteError {
            operation: "s3:PutObject".to_owned(),
            resource: self.uri(key),
            code: Some("ConditionalRequestConflict".to_owned()),
            message: format!("other writes of this key were under way at each of {CONFLICTS} tries"),
            fault: Fault::Throttled,
        })))
    }

    /// Whether the object is the one that `write` made.
    fn is_ours(&self, write: Write<'_>) -> Result<bool> {
        let found = self.describe(write.key)?;
        let metadata = found.as_ref().and_then(HeadObjectOutput::metadata);
        Ok(metadata.and_then(|metadata| metadata.get(WRITE)).is_some_and(|token| token == write.token))
    }
}

impl Storage for S3Storage {
    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.bucket, self.prefix)
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        let Some(found) = self.describe(key)? else { return Ok(None) };
        let size = match found.content_length() {
            Some(size) => size,
            None => size_of(self, key, found.e_tag())?,
        };
        let note = found.metadata().and_then(|metadata| metadata.get(NOTE));
        Ok(Some(meta(key, size, found.last_modified(), found.e_tag(), note)))
    }

    fn get(&self, key: &str) -> Result<Body> {
        let opened = self.open(key, None)?;
        Ok(Body::new(self.uri(key), opened.meta, opened.reader))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>> {
        let short = |got| StorageError::ShortBody { uri: self.uri(key), expected: range.end, got };
        if range.is_empty() {
            // There is no way to ask S3 for no bytes.
            let meta = self.head(key)?.ok_or_else(|| StorageError::NotFound { uri: self.uri(key) })?;
            return if range.end <= meta.size { Ok(Vec::new()) } else { Err(short(meta.size)) };
        }
        let mut opened = self.open(key, Some(range.clone()))?;
        // `meta.size` is that of the part which there is.
        let wanted = range.end - range.start;
        if opened.meta.size < wanted {
            return Err(short(range.start + opened.meta.size));
        }
        let mut bytes = Vec::with_capacity(wanted as usize);
        let read = opened.reader.read_to_end(&mut bytes);
        read.map_err(|error| StorageError::from_io(self.uri(key), error))?;
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(short(range.start + bytes.len() as u64)) }
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        // Nothing refuses a write without a condition.
        self.write(key, bytes, None, Condition::Always).map(drop)
    }

    fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        let created = self.write(key, bytes, None, Condition::Absent)?;
        Ok(if created { Put::Created } else { Put::AlreadyThere })
    }

    fn put_noted(&self, key: &str, bytes: &[u8], note: &str) -> Result<Put> {
        let created = self.write(key, bytes, Some(note), Condition::Absent)?;
        Ok(if created { Put::Created } else { Put::AlreadyThere })
    }

    fn compare_and_swap(&self, key: &str, expected: Option<&[u8]>, new: &[u8]) -> Result<Swap> {
        let etag = match expected {
            None => None,
            Some(expected) => match self.version_of(key, expected)? {
                Some(etag) => Some(etag),
                None => return Ok(Swap::Conflict),
            },
        };
        let condition = etag.as_deref().map_or(Condition::Absent, Condition::Version);
        Ok(if self.write(key, new, None, condition)? { Swap::Done } else { Swap::Conflict })
    }

    fn list_while(&self, prefix: &str, visit: &mut Visitor<'_>) -> Result<()> {
        let mut from = None;
        let mut last = String::new();
        loop {
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(self.full(prefix));
            let page = self.aws.wait(request.set_continuation_token(from).send());
            let page = page.map_err(|error| self.error("s3:ListBucket", prefix, &error))?;
            for object in page.contents() {
                let full = object.key().unwrap_or_default();
                let wrong = |why| Err(unexpected(format!("s3://{}/{full}", self.bucket), why));
                let Some(key) = full.strip_prefix(&self.prefix) else {
                    return wrong("listed though it is outside of the prefix that was asked for");
                };
                if full <= last.as_str() {
                    return wrong(
                        "listed out of order; directory buckets (S3 Express One Zone) cannot be used",
                    );
                }
                full.clone_into(&mut last);
                let Some(size) = object.size() else { return wrong(NO_LENGTH) };
                // What the console makes when somebody "creates a folder".
                if size == 0 && full.ends_with('/') {
                    continue;
                }
                if visit(meta(key, size, object.last_modified(), object.e_tag(), None))?.is_break() {
                    return Ok(());
                }
            }
            from = page.next_continuation_token().map(str::to_owned);
            if from.is_none() {
                return Ok(());
            }
        }
    }

    fn delete(&self, key: &str) -> Result<()> {
        check_key(key)?;
        let request = self.client.delete_object().bucket(&self.bucket).key(self.full(key));
        match self.aws.wait(request.send()) {
            Err(error) if error.code() != Some("NoSuchKey") => {
                Err(self.error("s3:DeleteObject", key, &error))
            }
            _ => Ok(()),
        }
    }
}

impl S3Storage {
    /// The etag of the object if it is `expected`.
    fn version_of(&self, key: &str, expected: &[u8]) -> Result<Option<String>> {
        let mut body = match self.get(key) {
            // Whoever changed it meanwhile wrote something else.
            Err(StorageError::NotFound { .. } | StorageError::Changed { .. }) => return Ok(None),
            body => body?,
        };
        if body.meta.size != expected.len() as u64 {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(expected.len());
        let read = body.reader.read_to_end(&mut bytes);
        match read.map_err(|error| StorageError::from_io(self.uri(key), error)) {
            Err(StorageError::Changed { .. }) => return Ok(None),
            read => read?,
        };
        Ok(if bytes == expected { body.meta.etag } else { None })
    }
}

fn meta(
    key: &str,
    size: i64,
    modified: Option<&DateTime>,
    etag: Option<&str>,
    note: Option<&String>,
) -> ObjectMeta {
    ObjectMeta {
        key: key.to_owned(),
        size: u64::try_from(size).unwrap_or_default(),
        modified: modified.and_then(|time| SystemTime::try_from(*time).ok()),
        etag: etag.map(|etag| etag.trim_matches('"').to_owned()),
        note: note.cloned(),
    }
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Others make objects under keys that iotlake never would, such as `a//b`: to be read they need only be there.
fn check_readable(key: &str) -> Result<()> {
    if key.is_empty() { check_key(key) } else { Ok(()) }
}

/// The bucket and the prefix of `s3://bucket/prefix`.
fn parse(uri: &str) -> Result<(&str, &str)> {
    let invalid = |reason| StorageError::InvalidUri { uri: uri.to_owned(), reason };
    let rest = uri.strip_prefix("s3://").ok_or_else(|| invalid("it does not begin with `s3://`"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // Wider than what can be created today: there are older buckets.
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() {
        return Err(invalid("the bucket is missing"));
    }
    if !(3..=255).contains(&bucket.len()) {
        return Err(invalid("the name of a bucket has 3 to 63 characters"));
    }
    if !bucket.chars().all(is_allowed) {
        return Err(invalid("the name of a bucket has only letters, digits, `-` and `.`"));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    match check_key(prefix) {
        Err(StorageError::InvalidKey { reason, .. }) if !prefix.is_empty() => Err(invalid(reason)),
        _ => Ok((bucket, prefix)),
    }
}
