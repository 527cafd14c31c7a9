//! An event of the Lambda, from its arrival to its answer.
//!
//! In comes whatever invoked the function: an HTTP request of API Gateway, `{"reconcile": {...}}` or
//! `{"import": {...}}`; out comes the answer. What must stay true: an HTTP request always gets the envelope, also if
//! time runs out or the code has a fault of its own; what takes too long is left where the next call finds it.

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::error::{Failure, Fault, FaultKind};
use crate::iot::Iot;
use crate::registry::Registry;
use crate::request::{self, Request};
use crate::response;
use crate::service::{Call, Service};
use crate::telemetry::{Log, Sink};
use crate::vault::Keys;

/// API Gateway gives up after 29 or 30 seconds.
const LONGEST_REQUEST: Duration = Duration::from_secs(25);
/// Lambda itself gives up after this time.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);
/// What is left of the function's own time for the answer and the last lines of the log.
const RESERVE: Duration = Duration::from_millis(500);

/// The function while it is warm.
#[derive(Debug)]
pub struct Handler<I, R, K> {
    service: Arc<Service<I, R, K>>,
    sink: Sink,
}

impl<I, R, K> Clone for Handler<I, R, K> {
    fn clone(&self) -> Handler<I, R, K> {
        Handler { service: self.service.clone(), sink: self.sink.clone() }
    }
}

impl<I: Iot, R: Registry, K: Keys> Handler<I, R, K> {
    /// Answers with a service and writes into a sink.
    pub fn new(service: Service<I, R, K>, sink: Sink) -> Handler<I, R, K> {
        Handler { service: Arc::new(service), sink }
    }

    /// The service.
    pub fn service(&self) -> &Service<I, R, K> {
        &self.service
    }

    /// Answers an event.
    ///
    /// # Errors
    /// An event of no known kind, or a mode that failed as a whole: Lambda then counts the invocation as failed.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
        let (event, context) = event.into_parts();
        // A deadline that is over before the event arrives is that of a Runtime API that tells none.
        let left = match context.deadline.saturating_sub(self.service.now()) {
            0 => LONGEST_INVOCATION,
            left => Duration::from_millis(left),
        };
        let deadline = Instant::now() + left.saturating_sub(RESERVE);
        let environment = &self.service.settings().environment;
        let log = Log::new(self.sink.clone(), environment, &context.request_id, context.xray_trace_id);
        if request::is_http(&event) {
            let deadline = deadline.min(Instant::now() + LONGEST_REQUEST);
            let mut answer = self.http(&event, Call { log, deadline }).await;
            if request::is_payload_2(&event) {
                // Part of that form's answer, and an error in that of 1.0.
                answer["cookies"] = json!([]);
            }
            return Ok(answer);
        }
        let call = Call { log, deadline };
        let started = self.service.now();
        let (mode, outcome) = if let Some(options) = event.get("reconcile") {
            ("reconcile", self.reconcile(&call, options).await)
        } else if let Some(options) = event.get("import") {
            ("import", self.import(&call, options).await)
        } else {
            call.log.error("unknown-event", json!({}));
            return Err("neither an HTTP request nor {\"reconcile\": {..}} nor {\"import\": {..}}".into());
        };
        self.count(&call, mode, started, outcome.as_ref().err());
        outcome.map_err(|failure| failure.to_string().into())
    }

    async fn reconcile(&self, call: &Call, options: &Value) -> Result<Value, Failure> {
        let options = serde_json::from_value(options.clone()).map_err(wrong_options)?;
        let report = self.service.reconcile(call, &options).await?;
        serde_json::to_value(report).map_err(|error| Failure::Internal(error.to_string()))
    }

    async fn import(&self, call: &Call, options: &Value) -> Result<Value, Failure> {
        let options = serde_json::from_value(options.clone()).map_err(wrong_options)?;
        let report = self.service.import(call, &options).await?;
        serde_json::to_value(report).map_err(|error| Failure::Internal(error.to_string()))
    }

    async fn http(&self, event: &Value, call: Call) -> Value {
        let started = self.service.now();
        let request = match request::parse(event) {
            Ok(Request::Preflight) => return response::preflight(),
            Ok(request) => request,
            Err(failure) => {
                self.count(&call, "refuse", started, Some(&failure));
                return response::failure(&failure);
            }
        };
        let verb = request.verb();
        let answer = self.timed(request, &call).await;
        self.count(&call, verb, started, answer.as_ref().err());
        answer.unwrap_or_else(|failure| response::failure(&failure))
    }

    /// Serves a request on a task of its own, so that neither a panic nor the end of time takes the answer along.
    async fn timed(&self, request: Request, call: &Call) -> Result<Value, Failure> {
        let (service, inner) = (self.service.clone(), call.clone());
        let mut task = tokio::spawn(async move { serve(&service, request, &inner).await });
        match tokio::time::timeout_at(call.deadline, &mut task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failed)) => {
                let how = if failed.is_panic() { "panicked" } else { "was cancelled" };
                Err(Failure::Internal(format!("the task {how}")))
            }
            Err(_) => {
                task.abort();
                let what = "out of time; the next request goes on from here";
                Err(Failure::Unavailable(Fault::new(FaultKind::Unavailable, "deadline", what)))
            }
        }
    }

    fn count(&self, call: &Call, operation: &str, started: u64, failure: Option<&Failure>) {
        let now = self.service.now();
        if let Some(failure) = failure {
            let fields = json!({
                "operation": operation, "code": failure.code(), "status": failure.status(),
                "message": failure.to_string(), "cause": failure.cause(),
            });
            if failure.status() >= 500 {
                call.log.error("failed", fields);
            } else {
                call.log.warn("refused", fields);
            }
        }
        let code = failure.map(Failure::code);
        call.log.metrics(now, operation, now.saturating_sub(started), code.as_deref());
    }
}

fn wrong_options(error: serde_json::Error) -> Failure {
    Failure::Internal(format!("the options of the event are invalid: {error}"))
}

async fn serve<I: Iot, R: Registry, K: Keys>(
    service: &Service<I, R, K>,
    request: Request,
    call: &Call,
) -> Result<Value, Failure> {
    match request {
        Request::Create { serial, csr } => {
            service.create(call, &serial, csr.as_ref()).await.map(|device| response::device(&device))
        }
        Request::Get { serial } => service.get(call, &serial).await.map(|device| response::device(&device)),
        Request::Delete { serial } => service.delete(call, &serial).await.map(|()| response::empty()),
        Request::Preflight => Ok(response::preflight()),
    }
}
