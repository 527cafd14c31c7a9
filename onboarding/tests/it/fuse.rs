//! Ports that stop for ever at the n-th call, before or after its effect: how a process looks that was killed there.
//!
//! Around any real port. What must stay true: until the fuse blows everything passes through untouched; once it has
//! blown, no call of this service has an effect any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use iotlake_onboarding::error::Fault;
use iotlake_onboarding::iot::{Certificate, Iot, Issued, Listed, Page, Policy, Thing};
use iotlake_onboarding::record::{Record, Stamp};
use iotlake_onboarding::registry::{Registry, Write};
use iotlake_onboarding::vault::{Context, DataKey, Keys};
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// Whether the last call has its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Killed on the way there.
    Before,
    /// Killed on the way back.
    After,
}

#[derive(Debug)]
struct State {
    left: AtomicI64,
    side: Side,
    blown: Notify,
    name: std::sync::Mutex<&'static str>,
}

/// Counts calls.
#[derive(Debug, Clone)]
pub struct Fuse(Arc<State>);

impl Fuse {
    /// Lets `calls` pass.
    pub fn after(calls: i64, side: Side) -> Fuse {
        let name = std::sync::Mutex::new("");
        Fuse(Arc::new(State { left: AtomicI64::new(calls), side, blown: Notify::new(), name }))
    }

    /// Never blows.
    pub fn none() -> Fuse {
        Fuse::after(i64::MAX, Side::Before)
    }

    /// Waits until it has blown; the call that it stopped.
    pub async fn blown(&self) -> &'static str {
        self.0.blown.notified().await;
        *self.0.name.lock().unwrap()
    }

    async fn around<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        let left = self.0.left.fetch_sub(1, Ordering::SeqCst);
        if left == 0 {
            if self.0.side == Side::After {
                call.await;
            }
            *self.0.name.lock().unwrap() = name;
            self.0.blown.notify_one();
        } else if left > 0 {
            return call.await;
        }
        std::future::pending().await
    }
}

/// A port behind a fuse.
#[derive(Debug)]
pub struct Fused<P> {
    port: Arc<P>,
    fuse: Fuse,
}

impl<P> Fused<P> {
    /// `port` behind `fuse`.
    pub fn new(port: &Arc<P>, fuse: &Fuse) -> Fused<P> {
        Fused { port: port.clone(), fuse: fuse.clone() }
    }
}

type Answer<T> = Result<T, Fault>;

macro_rules! pass {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $answer:ty;)*) => {
        $(async fn $name(&self $(, $argument: $kind)*) -> Answer<$answer> {
            self.fuse.around(stringify!($name), self.port.$name($($argument),*)).await
        })*
    };
}

impl<P: Iot> Iot for Fused<P> {
    pass! {
        fn ensure_thing(&self, name: &str, owner: &str) -> Thing;
        fn thing(&self, name: &str) -> Option<Thing>;
        fn adopt_thing(&self, name: &str, owner: &str) -> ();
        fn delete_thing(&self, name: &str) -> ();
        fn things(&self, owner: &str, from: Option<String>) -> Page<String>;
        fn principals(&self, thing: &str) -> Vec<String>;
        fn create_certificate(&self) -> Issued;
        fn certify(&self, csr: &str) -> Certificate;
        fn certificate(&self, id: &str) -> Option<Listed>;
        fn certificates(&self, from: Option<String>) -> Page<Listed>;
        fn set_active(&self, id: &str, active: bool) -> ();
        fn delete_certificate(&self, id: &str) -> ();
        fn things_of(&self, arn: &str) -> Vec<String>;
        fn attach_thing(&self, thing: &str, arn: &str) -> ();
        fn detach_thing(&self, thing: &str, arn: &str) -> ();
        fn policy(&self, name: &str) -> Option<Policy>;
        fn ensure_policy(&self, name: &str, document: &str) -> ();
        fn replace_policy(&self, name: &str, document: &str) -> ();
        fn delete_policy(&self, name: &str) -> ();
        fn attached_policies(&self, arn: &str) -> Vec<String>;
        fn attach_policy(&self, policy: &str, arn: &str) -> ();
        fn detach_policy(&self, policy: &str, arn: &str) -> ();
        fn endpoint(&self) -> String;
    }
}

impl<P: Registry> Registry for Fused<P> {
    pass! {
        fn get(&self, serial: &str) -> Option<Record>;
        fn claim(&self, record: Record) -> Write;
        fn swap(&self, record: Record) -> Write;
        fn remove(&self, serial: &str, stamp: Option<&Stamp>) -> bool;
        fn list(&self, from: Option<String>) -> Page<Record>;
        fn quickstart(&self, table: &str, from: Option<String>) -> Page<Record>;
        fn erase_key(&self, table: &str, serial: &str) -> ();
    }
}

impl<P: Keys> Keys for Fused<P> {
    pass! {
        fn data_key(&self, context: &Context) -> DataKey;
        fn unwrap(&self, wrapped: &[u8], context: &Context) -> Zeroizing<[u8; 32]>;
    }
}
