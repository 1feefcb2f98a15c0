//! The log of the process, on standard error. Nothing that serves devices waits for whoever reads it: lines go through a
//! bounded queue to a thread of their own, and what finds no room, or cannot be written, is counted and left out.

use std::io::{self, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait to be written, at most.
const QUEUE_MAX: usize = 4 * 1024 * 1024;
/// How long a last word to a person waits for whoever reads standard error.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Takes lines without ever waiting or failing; clones write to the same place.
#[derive(Debug, Clone)]
pub struct LogWriter {
    queue: Sender<Entry>,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it was written.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// A writer to `out`, which a thread of its own writes to.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = mpsc::channel();
        let writer = Self { queue, waiting: Arc::default(), lost: Arc::default() };
        let (waiting, lost) = (Arc::clone(&writer.waiting), Arc::clone(&writer.lost));
        thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &entries, &waiting, &lost))?;
        Ok(writer)
    }

    /// Lines that were left out so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was logged so far is written, at most `deadline`.
    pub fn flush(&self, deadline: Duration) {
        let (written, done) = mpsc::sync_channel(1);
        // Without its thread there is nothing to wait for, and a reader that stands still is not waited for.
        let _ = self.queue.send(Entry::Flush(written)).is_ok_and(|()| done.recv_timeout(deadline).is_ok());
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let waiting = self.waiting.fetch_add(line.len(), Ordering::Relaxed) + line.len();
        if waiting > QUEUE_MAX || self.queue.send(Entry::Line(line.to_vec())).is_err() {
            self.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn write(mut out: impl Write, entries: &Receiver<Entry>, waiting: &AtomicUsize, lost: &AtomicU64) {
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                if out.write_all(&line).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            // Nobody waits any more, perhaps.
            Entry::Flush(written) => drop(written.send(())),
        }
    }
}

/// Panics are logged as errors: the standard message would wait for the reader of standard error.
pub fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("without a message");
        tracing::error!(at, message, "a task panicked");
    }));
}

/// Says to whoever started the process why it ends; a reader that stands still does not keep it from ending.
pub fn last_word(message: &str) {
    let line = format!("quecota-center: {message}\n");
    let (written, done) = mpsc::sync_channel(1);
    thread::spawn(move || {
        // Standard error is gone: the exit code says it.
        let _ = io::stderr().write_all(line.as_bytes());
        let _ = written.send(());
    });
    // Not within its time: the exit code says it.
    let _ = done.recv_timeout(LAST_WORD);
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Writes wait until the lock is free.
    #[derive(Clone, Default)]
    struct Held(Arc<Mutex<Vec<u8>>>);

    impl Write for Held {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_nobody_waits() {
        let out = Held::default();
        let mut log = LogWriter::to(out.clone()).unwrap();
        let line = [b'x'; 1024];
        let reader = out.0.lock().unwrap();
        for _ in 0..QUEUE_MAX / line.len() + 10 {
            log.write_all(&line).unwrap();
        }
        assert!((10..=11).contains(&log.lost()), "{} lost", log.lost());
        drop(reader);
        LogWriter::flush(&log, Duration::from_secs(10));
        log.write_all(b"after").unwrap();
        LogWriter::flush(&log, Duration::from_secs(10));
        assert!(out.0.lock().unwrap().ends_with(b"xafter"), "it goes on when it is read again");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut log = LogWriter::to(full).unwrap();
        log.write_all(b"line\n").unwrap();
        LogWriter::flush(&log, Duration::from_secs(10));
        assert_eq!(log.lost(), 1);
    }
}
