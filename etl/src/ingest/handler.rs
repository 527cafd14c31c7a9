//! One invocation, from its event to its answer.
//!
//! In comes an event and a deadline; out comes the answer that its sender understands. Objects are begun in order of
//! how often their messages were received, so that none waits for ever behind others, as many at once as memory allows.
//! What has not ended shortly before the deadline is answered as failed; it goes on or stops by itself, and either does
//! no harm, since every effect can be repeated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Context, Diagnostic};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::event::{Announced, EventError, Message, Notice, Request};
use super::telemetry::{Ended, Entry, Journal, Stopwatch, chain, print};
use super::worker::{Finished, Worker, uri};
use crate::error::Hint;

/// Most objects at once, however much memory there is: each holds a connection or two.
const MOST_AT_ONCE: u32 = 64;

/// Longer than an invocation can last, which is 15 minutes.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// When an invocation begins to end, and when it answers.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// How long it has in all.
    whole: Duration,
    /// How much of it objects may use.
    usable: Duration,
    /// Objects stop where they are.
    stop: Instant,
    /// The answer is given.
    answer: Instant,
}

impl Times {
    /// Of an invocation that has to end at `deadline`, in milliseconds since 1970.
    fn until(deadline: u64) -> Times {
        let deadline = Duration::from_millis(deadline);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // cargo-lambda's emulator tells how long there is instead of until when.
        let whole = if deadline < LONGEST { deadline } else { deadline.saturating_sub(now) };
        // A tenth, so that what stops can finish the request that it is in.
        let margin = (whole / 10).clamp(Duration::from_millis(300), Duration::from_secs(10));
        let now = Instant::now();
        let usable = whole.saturating_sub(margin);
        Times { whole, usable, stop: now + usable, answer: now + whole.saturating_sub(margin / 3) }
    }

    fn left(&self) -> Duration {
        self.stop.saturating_duration_since(Instant::now())
    }
}

/// Handles one invocation.
///
/// # Errors
/// If the event is not understood, `init` failed, or any object that was announced without a queue has to be announced
/// again. Failures of a queue's messages are in the answer.
pub async fn handle(worker: Arc<Worker>, event: Value, context: Context) -> Result<Value, Diagnostic> {
    let times = Times::until(context.deadline);
    let settings = worker.settings();
    let journal = Journal::new(&context.request_id, &settings.table, &settings.namespace);
    match Request::parse(&event) {
        Ok(Request::Init) => init(worker, times).await,
        Ok(Request::Direct(notice)) => direct(worker, notice, times, journal).await,
        Ok(Request::Batch(messages)) => batch(worker, messages, times, journal).await,
        Err(error) => {
            journal.message_failed(&context.request_id, &error.to_string(), 1);
            journal.finish();
            Err(diagnostic("EventNotUnderstood", error.to_string()))
        }
    }
}

async fn init(worker: Arc<Worker>, times: Times) -> Result<Value, Diagnostic> {
    let made = tokio::task::spawn_blocking(move || worker.init());
    let failed = |message: String, hint: Option<&str>| {
        print(&json!({"level": "ERROR", "event": "init", "error": message, "hint": hint}));
        diagnostic("InitFailed", hint.map_or(message.clone(), |hint| format!("{message}; hint: {hint}")))
    };
    match timeout_at(times.answer.into(), made).await {
        Ok(Ok(Ok(made))) => {
            print(&json!({"level": "INFO", "event": "init", "made": made}));
            Ok(made)
        }
        Ok(Ok(Err(error))) => Err(failed(chain(&error), error.hint())),
        Ok(Err(panic)) => Err(failed(panic.to_string(), Some(BUG))),
        Err(_) => {
            let message = "the time of the invocation was over before everything was made".to_owned();
            Err(failed(
                message,
                Some("invoke it again, with more time if need be: what was made by then is found"),
            ))
        }
    }
}

/// Objects that are answered for as one.
async fn direct(
    worker: Arc<Worker>,
    notice: Notice,
    times: Times,
    journal: Journal,
) -> Result<Value, Diagnostic> {
    let ended = process(worker, notice.objects, times, &journal).await;
    journal.finish();
    let count = |ends: &[Ended]| ended.values().filter(|(end, _)| ends.contains(end)).count();
    let answer = json!({
        "done": count(&[Ended::Done]),
        "already_done": count(&[Ended::AlreadyDone]),
        "skipped": count(&[Ended::Skipped]) + notice.others as usize,
        "gone": count(&[Ended::Gone]),
    });
    let mut failures: Vec<String> =
        ended.values().filter(|(end, _)| end.is_failure()).map(|(_, text)| text.clone()).collect();
    failures.sort_unstable();
    match failures.first() {
        None => Ok(answer),
        Some(first) => {
            let (failed, all) = (failures.len(), ended.len());
            Err(diagnostic("ObjectsFailed", format!("{failed} of {all} objects failed, such as {first}")))
        }
    }
}

/// Messages of a queue: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>.
async fn batch(
    worker: Arc<Worker>,
    mut messages: Vec<Message>,
    times: Times,
    journal: Journal,
) -> Result<Value, Diagnostic> {
    // Who has waited longest comes first.
    messages.sort_by_key(|message| std::cmp::Reverse(message.received));
    let understood = messages.iter().filter_map(|message| message.notice.as_ref().ok());
    let objects = understood.flat_map(|notice| notice.objects.clone()).collect();
    let ended = process(worker, objects, times, &journal).await;
    let is_failed = |message: &&Message| match &message.notice {
        Ok(notice) => {
            let mut ends = notice.objects.iter().map(|object| ended.get(&uri(object)));
            // One that has no end was not reached.
            ends.any(|end| end.is_none_or(|(end, _)| end.is_failure()))
        }
        Err(error) => {
            report(&journal, message, error);
            true
        }
    };
    let failures: Vec<Value> =
        messages.iter().filter(is_failed).map(|message| json!({"itemIdentifier": message.id})).collect();
    journal.finish();
    Ok(json!({"batchItemFailures": failures}))
}

fn report(journal: &Journal, message: &Message, error: &EventError) {
    journal.message_failed(&message.id, &error.to_string(), message.received);
}

/// Processes objects, each once however often it was announced; how each ended, and its text for messages.
async fn process(
    worker: Arc<Worker>,
    objects: Vec<Announced>,
    times: Times,
    journal: &Journal,
) -> HashMap<String, (Ended, String)> {
    let objects = unique(objects);
    let memory = Arc::new(Semaphore::new(worker.budget().memory_mib() as usize));
    let most = worker.settings().concurrency.map_or(MOST_AT_ONCE, u32::from).min(MOST_AT_ONCE);
    let places = Arc::new(Semaphore::new(most as usize));
    let answer = times.answer.into();
    let mut ended = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut begun: HashMap<tokio::task::Id, String> = HashMap::new();
    let mut watches: HashMap<String, Arc<Stopwatch>> = HashMap::new();
    for object in &objects {
        if worker.is_skipped(object) {
            note(journal, &mut ended, Finished::unbegun(uri(object), Ended::Skipped));
            continue;
        }
        let share = worker.budget().share_mib(&object.key, object.size.unwrap_or(u64::MAX));
        let room =
            async { (memory.clone().acquire_many_owned(share).await, places.clone().acquire_owned().await) };
        // Without room before the end it is not begun, and so without an end: see below.
        let Ok((Ok(memory), Ok(place))) = timeout_at(times.stop.into(), room).await else { break };
        if let Some(refused) = worker.refusal(object, times.left(), times.whole) {
            note(journal, &mut ended, refused);
            continue;
        }
        let (worker, object) = (worker.clone(), object.clone());
        let (watch, name) = (worker.watch(times.stop), uri(&object));
        watches.insert(name.clone(), watch.clone());
        let task = tasks.spawn_blocking(move || {
            let finished = worker.process(&object, watch, times.usable);
            drop((memory, place));
            finished
        });
        begun.insert(task.id(), name);
    }
    while let Ok(Some(joined)) = timeout_at(answer, tasks.join_next_with_id()).await {
        let finished = match joined {
            Ok((_, finished)) => finished,
            Err(panic) => Finished {
                error: Some("iotlake panicked".to_owned()),
                hint: Some(BUG.to_owned()),
                ..Finished::unbegun(begun.get(&panic.id()).cloned().unwrap_or_default(), Ended::Failed)
            },
        };
        note(journal, &mut ended, finished);
    }
    tasks.detach_all();
    for object in &objects {
        if ended.contains_key(&uri(object)) {
            continue;
        }
        let finished = match watches.remove(&uri(object)) {
            Some(watch) => worker.cut_short(object, watch, times.usable),
            None => {
                let error = Some("the time of the invocation was over before it was begun".to_owned());
                Finished { error, ..Finished::unbegun(uri(object), Ended::Postponed) }
            }
        };
        note(journal, &mut ended, finished);
    }
    ended
}

const BUG: &str = "this is a bug in iotlake; please report it with the lines above";

/// Each object once, in the order of the first announcement and as the last describes it.
fn unique(objects: Vec<Announced>) -> Vec<Announced> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut unique: Vec<Announced> = Vec::new();
    for object in objects {
        match places.get(&uri(&object)) {
            Some(place) if object.landed >= unique[*place].landed => unique[*place] = object,
            Some(_) => {}
            None => {
                places.insert(uri(&object), unique.len());
                unique.push(object);
            }
        }
    }
    unique
}

fn note(journal: &Journal, ended: &mut HashMap<String, (Ended, String)>, finished: Finished) {
    let Finished { source, ended: end, outcome, watch, freshness, error, hint } = finished;
    let text = format!("{source}: {}", error.as_deref().unwrap_or_default());
    journal.object(&Entry {
        source: &source,
        ended: end,
        outcome: outcome.as_ref(),
        watch: watch.as_deref(),
        freshness,
        error,
        hint,
    });
    ended.insert(source, (end, text));
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}
