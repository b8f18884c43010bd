//! One of the command's outputs: passed on at once, and cut into pieces for the store.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use ids::Sha256;
use redact::{Counts, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{mpsc, watch};

use crate::cut::{Cut, Cutter};

/// A pipe's capacity on Linux (pipe(7)): no read returns more.
const CHUNK: usize = 1 << 16;

/// Which of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A stream that has ended, but for its pieces.
#[derive(Debug)]
pub(crate) struct Pumped {
    pub(crate) bytes: u64,
    /// How many of them were left to be stored.
    pub(crate) stored: u64,
    /// SHA-256 of those.
    pub(crate) sha256: Sha256,
    pub(crate) redacted: Option<Counts>,
    pub(crate) passed_on: u64,
    pub(crate) cut_off: Option<io::Error>,
    pub(crate) unread: Option<String>,
}

impl Pumped {
    /// The stream of a command that never started.
    pub(crate) fn nothing() -> Self {
        Self { bytes: 0, stored: 0, sha256: Sha256::of(b""), redacted: None, passed_on: 0, cut_off: None, unread: None }
    }
}

/// What reads one output.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) which: Which,
    pub(crate) cutter: Cutter,
    /// What takes out what is not to be stored.
    pub(crate) redacting: Option<Stream>,
    pub(crate) cuts: mpsc::Sender<(Which, Cut)>,
    pub(crate) began: Instant,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Pump {
    /// Reads `from` to its end, or until it is stopped; writes everything to `to` as it comes, and sends its pieces to be kept.
    ///
    /// If `to` does not take it any more, `from` is closed: the command then sees what it would see without this program in between, a
    /// broken pipe at its next write. What was read until then is kept.
    pub(crate) async fn run<R, W>(mut self, mut from: R, mut to: W) -> Pumped
    where
        R: AsyncRead + Unpin,
        W: Write + Send + 'static,
    {
        let mut chunk = vec![0; CHUNK];
        // What is left of it to be stored, where something is taken out.
        let mut left = Vec::new();
        let mut redacted = self.redacting.is_some().then(Counts::new);
        let (mut bytes, mut passed_on, mut cut_off, mut unread) = (0_u64, 0_u64, None, None);
        while cut_off.is_none() {
            let read = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => Err(io::Error::other("the recording was ended by a signal")),
                read = from.read(&mut chunk) => read,
            };
            let length = match read {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => {
                    unread = Some(error.to_string());
                    break;
                }
            };
            let at = millis(self.began);
            bytes = bytes.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            // A terminal or a pipe may take as long to write to as its reader likes.
            let mut redacting = self.redacting.take();
            let writing = tokio::task::spawn_blocking(move || {
                let read = chunk.get(..length).unwrap_or_default();
                let written = write(&mut to, read);
                left.clear();
                if let Some(redacting) = &mut redacting {
                    redacting.push(read, &mut left);
                }
                (to, chunk, redacting, left, written)
            });
            let Ok((writer, read, now, kept, (written, trouble))) = writing.await else {
                unread = Some("passing it on broke".to_owned());
                left = Vec::new();
                break;
            };
            (to, chunk, self.redacting, left) = (writer, read, now, kept);
            passed_on = passed_on.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
            cut_off = trouble;
            let to_store = if self.redacting.is_some() { left.as_slice() } else { chunk.get(..length).unwrap_or_default() };
            for cut in self.cutter.push(to_store, at) {
                send(&self.cuts, self.which, cut).await;
            }
        }
        // Before the last piece is waited for: the command may be blocked on a pipe that nobody reads any more.
        drop(from);
        if let Some(redacting) = self.redacting.take() {
            left.clear();
            redacted = Some(redacting.finish(&mut left));
            for cut in self.cutter.push(&left, millis(self.began)) {
                send(&self.cuts, self.which, cut).await;
            }
        }
        let whole = self.cutter.finish();
        let (cuts, which) = (self.cuts, self.which);
        if let Some(cut) = whole.last {
            send(&cuts, which, cut).await;
        }
        Pumped { bytes, stored: whole.bytes, sha256: whole.sha256, redacted, passed_on, cut_off, unread }
    }
}

async fn send(cuts: &mpsc::Sender<(Which, Cut)>, which: Which, cut: Cut) {
    // Nobody receives only if the keeping broke; then the outcome lists no pieces, and says so by their absence.
    let _ = cuts.send((which, cut)).await;
}

/// Writes all of `bytes`, and says how many of them it could.
fn write(to: &mut impl Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match to.write(rest) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(count) => written = written.saturating_add(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another program that shares this terminal or pipe may have made it non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => return (written, Some(error)),
        }
    }
    (written, to.flush().err())
}

/// Whole milliseconds since `began`.
pub(crate) fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
