//! Signals to this program, and which of them the command has to be told of.

use std::fs::File;
use std::io;

use futures_util::FutureExt as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp, tcgetpgrp};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What would end this program, or means something to the command.
const HEARD: [Signal; 6] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

/// The signals that arrive from now on. Until the process ends, none of them ends it.
#[derive(Debug)]
pub(crate) struct Signals(mpsc::Receiver<Signal>);

impl Signals {
    /// Begins to listen. A signal that this process was started with as ignored (`nohup`, a shell's background job) stays ignored, here
    /// and in the command, which inherits that.
    pub(crate) fn listen() -> io::Result<Self> {
        let (heard, signals) = mpsc::channel(16);
        let ignored = ignored();
        for number in HEARD.into_iter().filter(|number| !ignored.contains(number)) {
            let mut arrivals = signal(SignalKind::from_raw(number as i32))?;
            let heard = heard.clone();
            tokio::spawn(async move { while arrivals.recv().await.is_some() && heard.send(number).await.is_ok() {} });
        }
        Ok(Self(signals))
    }

    /// The next signal. Never ends without one.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// A signal that asks this program to end, if one has come already.
    pub(crate) async fn early(&mut self) -> Option<Signal> {
        // The listening tasks are given the chance to say what they have heard.
        tokio::task::yield_now().await;
        self.next().now_or_never().filter(|signal| ends(*signal))
    }
}

/// Whether a signal asks a program to end.
pub(crate) fn ends(signal: Signal) -> bool {
    !matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2)
}

/// Sends `signal` on to the process `pid`, unless the terminal has sent it there as well: it sends ^C and ^\ to the whole foreground
/// group, which the command is in. True if it was sent.
///
/// A SIGINT from elsewhere, to this program alone while it is in a terminal's foreground, looks the same and is not sent on.
pub(crate) fn forward(signal: Signal, pid: u32) -> bool {
    if matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && in_foreground() {
        return false;
    }
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), signal).is_ok())
}

fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal) == Ok(getpgrp()))
}

/// The signals that this process ignores, where the system says (Linux: `SigIgn` in proc_pid_status(5), bit n-1 for signal n).
fn ignored() -> Vec<Signal> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let mask = u64::from_str_radix(mask.trim(), 16).unwrap_or(0);
    HEARD.into_iter().filter(|signal| mask >> (*signal as i32 - 1) & 1 == 1).collect()
}
