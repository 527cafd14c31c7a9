//! The Lambda `ingest`: see `iotlake::ingest`.

use std::process::ExitCode;
use std::sync::Arc;

use iotlake::aws::Aws;
use iotlake::ingest::settings::Settings;
use iotlake::ingest::telemetry::{chain, print};
use iotlake::ingest::{Worker, handle};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};

/// Threads for requests and for the runtime; objects are processed on threads of their own.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let run = built.map_err(lambda_runtime::Error::from).and_then(|runtime| runtime.block_on(run()));
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&json!({"level": "ERROR", "event": "start", "error": chain(&*error)}));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let settings = Settings::read(std::env::vars())?;
    let worker = Arc::new(Worker::new(settings, Aws::of_current_runtime().await)?);
    let handle = |event: LambdaEvent<Value>| handle(worker.clone(), event.payload, event.context);
    lambda_runtime::run(service_fn(handle)).await
}
