//! The command itself: started, listened to, told of signals, waited for.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Instant;

use evidence::LARGEST_BLOB;
use evidence_store::Worm;
use futures_util::future::join;
use ids::Timestamp;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::body::{Ending, Received};
use crate::cut::{Cutter, Spares};
use crate::keep::{Kept, keep};
use crate::pump::{Pump, Pumped, Which, millis};
use crate::redact::Redactor;
use crate::seal::{LARGEST_SEALED, Recipients};
use crate::signals::{Signals, ends, forward};

/// More signals than this are counted for nothing.
const MOST_SIGNALS: usize = 64;

/// Where the command's output goes live.
#[derive(Debug)]
pub struct Live<O, E> {
    /// What is written to standard output.
    pub stdout: O,
    /// What is written to standard error.
    pub stderr: E,
}

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ending: Ending,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) pid: Option<u32>,
    pub(crate) signals: Vec<Received>,
    pub(crate) left_open: bool,
    pub(crate) stdout: Pumped,
    pub(crate) stderr: Pumped,
    pub(crate) kept: Kept,
}

impl Ran {
    /// It did not.
    pub(crate) fn not(ending: Ending, now: Timestamp) -> Self {
        Self {
            ending,
            started: None,
            ended: now,
            duration_ms: 0,
            pid: None,
            signals: Vec::new(),
            left_open: false,
            stdout: Pumped::nothing(),
            stderr: Pumped::nothing(),
            kept: Kept::default(),
        }
    }
}

/// What is done to the output on its way into the store.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) redactor: Redactor,
    pub(crate) seal_to: Option<Recipients>,
}

/// Runs `program` as `argv` says, with this program's own standard input.
pub(crate) async fn execute<S, O, E>(
    program: &Path,
    argv: &[OsString],
    live: Live<O, E>,
    store: S,
    before: Before,
    signals: &mut Signals,
    now: impl Fn() -> Timestamp,
) -> Ran
where
    S: Worm,
    O: Write + Send + 'static,
    E: Write + Send + 'static,
{
    let mut command = Command::new(program);
    if let Some((name, arguments)) = argv.split_first() {
        command.arg0(name).args(arguments);
    }
    let started = now();
    let began = Instant::now();
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Ran::not(Ending::NotExecutable { cause: error.to_string() }, now()),
    };
    let pid = child.id();
    let (cuts, to_keep) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let spares = Spares::default();
    let largest = if before.seal_to.is_some() { LARGEST_SEALED } else { LARGEST_BLOB };
    let kept = tokio::spawn(keep(store, to_keep, spares.clone(), before.seal_to));
    let pump = |which| Pump {
        which,
        cutter: Cutter::new(largest, spares.clone()),
        redacting: before.redactor.stream(),
        cuts: cuts.clone(),
        began,
        stop: stopped.clone(),
    };
    let stdout = child.stdout.take().map(|from| tokio::spawn(pump(Which::Stdout).run(from, live.stdout)));
    let stderr = child.stderr.take().map(|from| tokio::spawn(pump(Which::Stderr).run(from, live.stderr)));
    // The last pump to end ends the keeping.
    drop(cuts);

    let mut received = Vec::new();
    let ending = wait(&mut child, signals, &mut received, began).await;
    let (ended, duration_ms) = (now(), millis(began));
    let (streams, left_open) = drain(join(finished(stdout), finished(stderr)), signals, &stop).await;
    let (stdout, stderr) = streams;
    let kept = kept.await.unwrap_or_default();
    Ran { ending, started: Some(started), ended, duration_ms, pid, signals: received, left_open, stdout, stderr, kept }
}

/// Waits for the command to end, and sends it the signals that come meanwhile.
async fn wait(child: &mut Child, signals: &mut Signals, received: &mut Vec<Received>, began: Instant) -> Ending {
    loop {
        let pid = child.id();
        tokio::select! {
            biased;
            status = child.wait() => return match status {
                Ok(status) => ending(status),
                // No child of ours is without a status; if the system says otherwise, nothing may be made up.
                Err(error) => Ending::Unknown { cause: error.to_string() },
            },
            signal = signals.next() => {
                let forwarded = pid.is_some_and(|pid| forward(signal, pid));
                if received.len() < MOST_SIGNALS {
                    received.push(Received { signal: signal.as_str().to_owned(), at_ms: millis(began), forwarded });
                }
            }
        }
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited { code },
        (None, Some(signal)) => Ending::Killed { signal, core_dumped: status.core_dumped() },
        (None, None) => Ending::Unknown { cause: status.to_string() },
    }
}

/// Waits for both outputs to end. Something that the command left behind may hold them open for as long as it likes: so a signal ends
/// the recording then, and the answer says that it did.
async fn drain<T>(streams: impl Future<Output = T>, signals: &mut Signals, stop: &watch::Sender<bool>) -> (T, bool) {
    let mut streams = pin!(streams);
    let mut left_open = false;
    loop {
        tokio::select! {
            biased;
            streams = &mut streams => return (streams, left_open),
            signal = signals.next() => if ends(signal) {
                left_open = true;
                stop.send_replace(true);
            },
        }
    }
}

async fn finished(pump: Option<JoinHandle<Pumped>>) -> Pumped {
    let broke = || Pumped { unread: Some("its recording broke".to_owned()), ..Pumped::nothing() };
    match pump {
        Some(pump) => pump.await.unwrap_or_else(|_| broke()),
        None => broke(),
    }
}
