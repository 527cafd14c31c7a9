//! What is written: JSON lines for people and CloudWatch's embedded metrics, one line each.
//!
//! In come events of a request; out go lines that all carry its request id and, where X-Ray traces it, its trace id.
//! What must stay true: nothing here formats a record, a request or an answer, only names, ids, counts and causes; the
//! dimensions of metrics are few and bounded (environment, operation, code of the failure).

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

/// The namespace of the metrics.
pub const NAMESPACE: &str = "iotlake/onboarding";

/// Where lines go.
#[derive(Clone)]
pub struct Sink(Arc<Mutex<dyn Write + Send>>);

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

impl Sink {
    /// Lines go to `to`.
    pub fn new(to: impl Write + Send + 'static) -> Sink {
        Sink(Arc::new(Mutex::new(to)))
    }

    /// Lines go to the standard output, from where CloudWatch Logs takes them.
    pub fn stdout() -> Sink {
        Sink::new(std::io::stdout())
    }

    /// Writes a line.
    pub fn line(&self, value: &Value) {
        let mut to = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Where nothing can be written nothing can be said about it either.
        let _ = writeln!(to, "{value}").and_then(|()| to.flush());
    }
}

/// The log of one request.
#[derive(Debug, Clone)]
pub struct Log {
    sink: Sink,
    environment: String,
    request_id: String,
    trace_id: Option<String>,
}

impl Log {
    /// The log of the request of that id.
    pub fn new(sink: Sink, environment: &str, request_id: &str, trace_id: Option<String>) -> Log {
        Log { sink, environment: environment.to_owned(), request_id: request_id.to_owned(), trace_id }
    }

    /// The request's id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Something happened as it should.
    pub fn info(&self, event: &str, fields: Value) {
        self.write("INFO", event, fields);
    }

    /// Something happened that somebody may want to look at.
    pub fn warn(&self, event: &str, fields: Value) {
        self.write("WARN", event, fields);
    }

    /// Something failed.
    pub fn error(&self, event: &str, fields: Value) {
        self.write("ERROR", event, fields);
    }

    fn write(&self, level: &str, event: &str, fields: Value) {
        let mut line = Map::new();
        line.insert("level".to_owned(), json!(level));
        line.insert("event".to_owned(), json!(event));
        line.insert("requestId".to_owned(), json!(self.request_id));
        if let Some(trace) = &self.trace_id {
            line.insert("traceId".to_owned(), json!(trace));
        }
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        self.sink.line(&Value::Object(line));
    }

    /// Counts what became of a request, and how long it took; `now` and `milliseconds` are the caller's clock's.
    pub fn metrics(&self, now: u64, operation: &str, milliseconds: u64, failure: Option<&str>) {
        let count = |is: bool| u8::from(is);
        let mut line = json!({
            "requestId": self.request_id,
            "Environment": self.environment,
            "Operation": operation,
            "Duration": milliseconds,
            "Onboarded": count(operation == "create" && failure.is_none()),
            "Deleted": count(operation == "delete" && failure.is_none()),
            "Failed": count(failure.is_some()),
        });
        let mut directives = vec![
            directive(&["Environment"], &[("Onboarded", "Count"), ("Deleted", "Count"), ("Failed", "Count")]),
            directive(&["Environment", "Operation"], &[("Duration", "Milliseconds")]),
        ];
        if let Some(cause) = failure {
            line["Cause"] = json!(cause);
            directives.push(directive(&["Environment", "Cause"], &[("Failed", "Count")]));
        }
        line["_aws"] = json!({"Timestamp": now, "CloudWatchMetrics": directives});
        self.sink.line(&line);
    }
}

fn directive(dimensions: &[&str], metrics: &[(&str, &str)]) -> Value {
    let metrics: Vec<_> = metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
    json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_metric_names_only_what_the_line_holds() {
        let buffer = Buffer::default();
        let log = Log::new(Sink::new(buffer.clone()), "int", "r1", None);
        log.metrics(7, "create", 12, Some("TECHNICAL_ERROR_1"));
        let line: Value = serde_json::from_slice(&buffer.0.lock().unwrap()).unwrap();
        assert_eq!(
            (&line["Failed"], &line["Onboarded"], &line["Duration"]),
            (&json!(1), &json!(0), &json!(12))
        );
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for name in directive["Dimensions"][0].as_array().unwrap() {
                assert!(line[name.as_str().unwrap()].is_string());
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_number());
            }
        }
    }
}
