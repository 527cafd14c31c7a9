//! What an invocation says: which objects have landed, and on whose behalf.
//!
//! In comes the JSON of an event: S3's notification, bare or wrapped by SNS, EventBridge or both in SQS messages, a
//! plain list of objects, or `{"init": true}`. Out come messages, each with the objects it announces, keys decoded as
//! its source encodes them: S3's own notifications write keys as in a form (`+` is a space, then `%XX`), EventBridge
//! and lists write them as they are.
//!
//! What must stay true: every part of an event is understood, known to be of no concern (and counted), or an error of
//! its own message; nothing is skipped for being unknown. Unknown fields are, as AWS adds some over time. Pure.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use iotlake_flatten::time::micros_of_text;

/// An event, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Make database, tables and view.
    Init,
    /// SQS messages, each of which is answered for itself.
    Batch(Vec<Message>),
    /// Objects, announced without a queue: the invocation succeeds or fails as one.
    Direct(Notice),
}

/// One message of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What the queue calls it.
    pub id: String,
    /// How often it was received, this time included.
    pub received: u32,
    /// What it says.
    pub notice: Result<Notice, EventError>,
}

/// What was announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notice {
    /// Objects that have landed.
    pub objects: Vec<Announced>,
    /// Announcements of anything but an object: test events, removals.
    pub others: u32,
}

/// An object as it was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its bucket.
    pub bucket: String,
    /// Its key, decoded.
    pub key: String,
    /// Its length in bytes, if it was told.
    pub size: Option<u64>,
    /// Its version, if it was told; without quotes.
    pub etag: Option<String>,
    /// When it landed, in microseconds since 1970, if it was told.
    pub landed: Option<i64>,
}

/// An event or message that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON.
    #[error("the body of the message is not JSON (line {line}, column {column})")]
    NotJson {
        /// Where it ends to be JSON.
        line: usize,
        /// In that line, in bytes.
        column: usize,
    },
    /// JSON that announces nothing.
    #[error(
        "neither a notification of S3 (bare, through SNS or EventBridge), nor {{\"objects\": [...]}}, nor \
         {{\"init\": true}}; its fields are {fields}"
    )]
    Unknown {
        /// The names of its fields.
        fields: String,
    },
    /// A field is missing or wrong.
    #[error("`{at}` {problem}")]
    Field {
        /// Where.
        at: String,
        /// What is wrong there.
        problem: &'static str,
    },
    /// An announcement in a format that is not known.
    #[error("`{at}` is {found}; this version knows 2.x")]
    Version {
        /// Where.
        at: String,
        /// What stands there.
        found: String,
    },
}

type Result<T, E = EventError> = std::result::Result<T, E>;

impl Request {
    /// Understands an event.
    ///
    /// # Errors
    /// If the event as a whole is not understood. A message of a batch that is not carries its error itself.
    pub fn parse(event: &Value) -> Result<Request> {
        if event.get("init").is_some_and(|init| init != &Value::Bool(false)) {
            return Ok(Request::Init);
        }
        let records = event.get("Records").and_then(Value::as_array);
        let is_batch = records.is_some_and(|records| {
            !records.is_empty() && records.iter().all(|record| word(record, "eventSource") == "aws:sqs")
        });
        if let (true, Some(records)) = (is_batch, records) {
            return Ok(Request::Batch(records.iter().enumerate().map(message).collect::<Result<_>>()?));
        }
        notice(event, "").map(Request::Direct)
    }
}

/// A record of SQS. Without its id it could not be answered for, so that fails the event.
fn message((index, record): (usize, &Value)) -> Result<Message> {
    let at = format!("Records[{index}]");
    let id = text(record, "messageId", &at)?.to_owned();
    let received = &record["attributes"]["ApproximateReceiveCount"];
    let received = received.as_str().and_then(|count| count.parse().ok()).unwrap_or(1);
    let notice = text(record, "body", &at).and_then(|body| notice(&json(body)?, ""));
    Ok(Message { id, received, notice })
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| EventError::NotJson { line: error.line(), column: error.column() })
}

/// An announcement in any of its wrappings; `at` is where it stands, for messages.
fn notice(value: &Value, at: &str) -> Result<Notice> {
    let inside = |field: &str| if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") };
    if let Some(objects) = value.get("objects") {
        let objects = objects.as_array();
        let objects = objects.ok_or(EventError::Field { at: inside("objects"), problem: "is not a list" })?;
        let bucket = value.get("bucket").and_then(Value::as_str);
        let listed = objects.iter().enumerate();
        let listed = listed
            .map(|(index, object)| listed_object(object, bucket, &format!("{}[{index}]", inside("objects"))));
        return Ok(Notice { objects: listed.collect::<Result<_>>()?, others: 0 });
    }
    if word(value, "Event") == "s3:TestEvent" {
        return Ok(Notice { others: 1, ..Notice::default() });
    }
    if word(value, "Type") == "Notification" {
        return notice(&json(text(value, "Message", at)?)?, &inside("Message"));
    }
    if word(value, "source") == "aws.s3" {
        return from_event_bridge(value, at);
    }
    let Some(records) = value.get("Records").and_then(Value::as_array) else {
        let fields = value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>().join(", "));
        return Err(EventError::Unknown {
            fields: fields.filter(|fields| !fields.is_empty()).unwrap_or("none".into()),
        });
    };
    let mut found = Notice::default();
    for (index, record) in records.iter().enumerate() {
        let at = format!("{}[{index}]", inside("Records"));
        if word(record, "EventSource") == "aws:sns" {
            let inner = notice(&json(text(&record["Sns"], "Message", &at)?)?, &format!("{at}.Sns.Message"))?;
            found.objects.extend(inner.objects);
            found.others += inner.others;
        } else if word(record, "eventSource") == "aws:s3" {
            match from_s3(record, &at)? {
                Some(object) => found.objects.push(object),
                None => found.others += 1,
            }
        } else {
            return Err(EventError::Field { at: format!("{at}.eventSource"), problem: "is not `aws:s3`" });
        }
    }
    Ok(found)
}

/// A record of S3's own notification: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>.
fn from_s3(record: &Value, at: &str) -> Result<Option<Announced>> {
    let version = word(record, "eventVersion");
    if version.split('.').next() != Some("2") {
        return Err(EventError::Version { at: format!("{at}.eventVersion"), found: format!("`{version}`") });
    }
    if !text(record, "eventName", at)?.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Ok(None);
    }
    let (bucket, object) = (&record["s3"]["bucket"], &record["s3"]["object"]);
    let key = text(object, "key", &format!("{at}.s3.object"))?.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8().map_err(|_| EventError::Field {
        at: format!("{at}.s3.object.key"),
        problem: "does not decode to UTF-8",
    })?;
    Ok(Some(Announced {
        bucket: text(bucket, "name", &format!("{at}.s3.bucket"))?.to_owned(),
        key: key.into_owned(),
        size: object["size"].as_u64(),
        etag: etag(object["eTag"].as_str()),
        landed: record["eventTime"].as_str().and_then(micros_of_text),
    }))
}

/// An event of EventBridge: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>. Its keys are plain.
fn from_event_bridge(event: &Value, at: &str) -> Result<Notice> {
    if text(event, "detail-type", at)? != "Object Created" {
        return Ok(Notice { others: 1, ..Notice::default() });
    }
    let at = if at.is_empty() { "detail".to_owned() } else { format!("{at}.detail") };
    let (bucket, object) = (&event["detail"]["bucket"], &event["detail"]["object"]);
    let object = Announced {
        bucket: text(bucket, "name", &format!("{at}.bucket"))?.to_owned(),
        key: text(object, "key", &format!("{at}.object"))?.to_owned(),
        size: object["size"].as_u64(),
        etag: etag(object["etag"].as_str()),
        landed: event["time"].as_str().and_then(micros_of_text),
    };
    Ok(Notice { objects: vec![object], others: 0 })
}

/// An object of a list: a URI, or an object with a key, as ListObjectsV2 and so Step Functions' item readers write it.
fn listed_object(value: &Value, bucket: Option<&str>, at: &str) -> Result<Announced> {
    let wrong = |problem| EventError::Field { at: at.to_owned(), problem };
    if let Some(uri) = value.as_str() {
        let rest = uri.strip_prefix("s3://").ok_or(wrong("is not a URI such as s3://bucket/key"))?;
        let (bucket, key) = rest.split_once('/').ok_or(wrong("has no key behind its bucket"))?;
        if bucket.is_empty() || key.is_empty() {
            return Err(wrong("has an empty bucket or key"));
        }
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        return Ok(Announced { bucket, key, size: None, etag: None, landed: None });
    }
    let field = |names: [&str; 2]| names.iter().find_map(|name| value.get(name));
    let own = field(["bucket", "Bucket"]).and_then(Value::as_str);
    let bucket = own.or(bucket).ok_or(wrong("has no `bucket`, and neither has the event"))?.to_owned();
    let key = field(["key", "Key"]).and_then(Value::as_str).ok_or(wrong("has no `key`"))?.to_owned();
    let size = field(["size", "Size"]).and_then(Value::as_u64);
    Ok(Announced {
        bucket,
        key,
        size,
        etag: etag(field(["etag", "Etag"]).and_then(Value::as_str)),
        landed: None,
    })
}

fn etag(text: Option<&str>) -> Option<String> {
    text.map(|text| text.trim_matches('"').to_owned()).filter(|text| !text.is_empty())
}

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str, at: &str) -> Result<&'a str> {
    let missing = || EventError::Field {
        at: if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") },
        problem: "is missing or no text",
    };
    value.get(field).and_then(Value::as_str).ok_or_else(missing)
}

#[cfg(test)]
mod tests;
