//! The Lambda `onboarding`: see `iotlake_onboarding`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use iotlake_onboarding::aws;
use iotlake_onboarding::handler::Handler;
use iotlake_onboarding::iot::aws::AwsIot;
use iotlake_onboarding::registry::dynamodb::DynamoRegistry;
use iotlake_onboarding::service::{Clock, Service};
use iotlake_onboarding::settings::Settings;
use iotlake_onboarding::telemetry::Sink;
use iotlake_onboarding::vault::kms::KmsKeys;
use lambda_runtime::service_fn;
use serde_json::json;

/// One for requests and one for the runtime.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let run = built.map_err(lambda_runtime::Error::from).and_then(|runtime| runtime.block_on(run()));
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Sink::stdout().line(&json!({"level": "ERROR", "event": "start", "error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let settings = Settings::read(std::env::vars())?;
    let config = aws::config().await;
    let registry = DynamoRegistry::new(&config, settings.table.clone());
    let keys = KmsKeys::new(&config, settings.kms_key.as_deref().unwrap_or_default());
    let service = Service::new(settings, AwsIot::new(&config), registry, keys, clock());
    let handler = Handler::new(service, Sink::stdout());
    lambda_runtime::run(service_fn(|event| handler.handle(event))).await
}

fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
