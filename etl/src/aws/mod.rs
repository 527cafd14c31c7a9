//! The way to AWS: one configuration, one runtime, one place that reads errors.
//!
//! In come the usual variables and files of an AWS client (profile, region, credentials, `AWS_ENDPOINT_URL`); out come
//! clients, and a way to wait for them from the engine's own threads. The engine is synchronous: a call from a thread
//! of the asynchronous runtime itself would block it, so nothing here may be called from one (use `spawn_blocking`).
//!
//! What must stay true: every client tries again by itself, more slowly the more often it is throttled, and gives up in
//! bounded time; no error shows a credential.

mod fault;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::retry::RetryPartition;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::runtime::{Handle, Runtime};

pub use aws_sdk_s3::config::Credentials;
pub(crate) use fault::answered;
pub use fault::remote;

/// How AWS is reached, as far as the usual variables and files shall not decide, and for how long it is tried.
#[derive(Debug, Clone)]
pub struct Access {
    /// The address of all services, such as `http://127.0.0.1:4566`.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The caller.
    pub credentials: Option<Credentials>,
    /// Tries of one request.
    pub attempts: u32,
    /// How long a connection may take to open.
    pub connect: Duration,
    /// How long the first byte of an answer may take, once the request is sent or nearly so.
    pub first_byte: Duration,
    /// How long one try may take, its body included where that is read at once.
    pub attempt: Duration,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            endpoint: None,
            region: None,
            credentials: None,
            // The waits between them grow to 20 s, so that a minute of throttling is waited out.
            attempts: 8,
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            attempt: Duration::from_secs(120),
        }
    }
}

/// A configured way to AWS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    /// What the clients of a service learn together of how much it can take, and no others.
    s3_retries: RetryPartition,
    glue_retries: RetryPartition,
    handle: Handle,
    /// Keeps the runtime alive where it is ours.
    _runtime: Option<Arc<Runtime>>,
}

impl Aws {
    /// A way of its own, with a runtime of one thread beside the caller's.
    ///
    /// # Errors
    /// If the system grants no thread.
    pub fn start() -> std::io::Result<Aws> {
        Aws::start_with(Access::default())
    }

    /// As [`Aws::start`], with what goes before the usual variables and files.
    ///
    /// # Errors
    /// If the system grants no thread.
    pub fn start_with(access: Access) -> std::io::Result<Aws> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let config = runtime.block_on(load(access));
        Ok(Aws::new(config, runtime.handle().clone(), Some(Arc::new(runtime))))
    }

    /// A way through the runtime that is running.
    pub async fn of_current_runtime() -> Aws {
        Aws::new(load(Access::default()).await, Handle::current(), None)
    }

    fn new(config: SdkConfig, handle: Handle, runtime: Option<Arc<Runtime>>) -> Aws {
        let retries = |service: &'static str| RetryPartition::custom(service).build();
        Aws { config, s3_retries: retries("s3"), glue_retries: retries("glue"), handle, _runtime: runtime }
    }

    /// A client for S3. Where the endpoint is not AWS's own, buckets are named in the path.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let has_endpoint = self.config.endpoint_url().is_some()
            || ["AWS_ENDPOINT_URL_S3"].iter().any(|name| std::env::var_os(name).is_some());
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(has_endpoint);
        aws_sdk_s3::Client::from_conf(config.retry_partition(self.s3_retries.clone()).build())
    }

    /// A client for the Glue Data Catalog.
    pub fn glue(&self) -> aws_sdk_glue::Client {
        let config = aws_sdk_glue::config::Builder::from(&self.config);
        aws_sdk_glue::Client::from_conf(config.retry_partition(self.glue_retries.clone()).build())
    }

    /// Waits for `future` on the calling thread, which must not be one of the runtime's.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }
}

async fn load(access: Access) -> SdkConfig {
    let client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(access.connect)
        .read_timeout(access.first_byte)
        .operation_attempt_timeout(access.attempt)
        .build();
    // Adaptive: after a throttled request a client holds itself back, so that many functions that are throttled at once
    // do not keep each other so. A lone writer waits longer for it than it would have to; it can say otherwise.
    let is_standard = std::env::var("AWS_RETRY_MODE").is_ok_and(|mode| mode == "standard");
    let retries = if is_standard { RetryConfig::standard() } else { RetryConfig::adaptive() };
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .retry_config(retries.with_max_attempts(access.attempts))
        .timeout_config(timeouts);
    if let Some(endpoint) = access.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(region) = access.region {
        loader = loader.region(Region::new(region));
    }
    if let Some(credentials) = access.credentials {
        loader = loader.credentials_provider(credentials);
    }
    loader.load().await
}
