//! The progress bar: on standard error, and only where that is a terminal.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

use super::GlobalArgs;
use crate::corpus::BytesRead;

/// A bar over the bytes of a corpus, or a spinner where their number is not known.
pub(super) struct Bar {
    bar: ProgressBar,
    read: BytesRead,
}

impl Bar {
    /// A bar that follows `read` up to `total` bytes.
    pub(super) fn new(global: &GlobalArgs, total: Option<u64>, read: BytesRead) -> Self {
        let shown = std::io::stderr().is_terminal() && !global.no_progress && !global.quiet;
        let bar = match (shown, total) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(total)) => ProgressBar::new(total),
            (true, None) => ProgressBar::new_spinner(),
        };
        let template = match total {
            Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg} eta {eta}",
            None => "{spinner} {bytes} {bytes_per_sec} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, read }
    }

    /// A bar over a share of some work; the function moves it, from any thread.
    pub(super) fn of_share(global: &GlobalArgs, what: String) -> (Self, impl Fn(f64) + Sync + use<>) {
        let bar = Self::new(global, Some(1000), BytesRead::default());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% {msg} eta {eta}") {
            bar.bar.set_style(style);
        }
        bar.bar.set_message(what);
        let moved = bar.bar.clone();
        (bar, move |share| moved.set_position((share * 1000.0) as u64))
    }

    /// Shows how far reading has come.
    pub(super) fn advance(&self, rows: u64) {
        self.bar.set_position(self.read.get());
        self.bar.set_message(format!("{rows} rows"));
    }

    /// Prints a line above the bar.
    pub(super) fn line(&self, text: &str) {
        self.bar.suspend(|| {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
