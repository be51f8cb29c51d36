//! What `fit` prints.

use std::sync::Once;
use std::time::Instant;

use super::live_bar::LiveBar;
use crate::callbacks::{Callback, Logs, Training, say};
use crate::error::Result;

/// What [`fit`](super::CompiledModel::fit) prints to the standard output.
///
/// A line an epoch looks like this; where there is only one epoch it begins with the count of steps:
///
/// ```text
/// Epoch 1/5 - 1688/1688 - 12s - 7ms/step - accuracy: 0.7731 - loss: 0.6114
/// ```
///
/// The bar is Keras': the time is what is left of the epoch, and at its end what the epoch took with
/// its validation. It is drawn at most every 50 ms.
///
/// ```text
/// Epoch 1/5
///  421/1688 ━━━━━━━━━━━━━━━━━━━━ 8s 7ms/step - accuracy: 0.7731 - loss: 0.6114
/// ```
///
/// If nobody reads on, as in `program | head`, training goes on silently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbose {
    /// A live bar if the output is a terminal and the feature `progress` is on, else one line an
    /// epoch.
    #[default]
    Auto,
    /// Nothing.
    Silent,
    /// One line an epoch.
    Line,
}

/// The callback that prints.
#[derive(Debug)]
pub(super) struct Progress {
    verbose: Verbose,
    /// The bar of the current epoch, on a terminal.
    bar: Option<LiveBar>,
    started: Instant,
    /// The end of the first step, which takes longer than the others and says nothing about them.
    first_step: Option<Instant>,
    /// Batches of the epoch that are done, and those that were so when it began or was resumed.
    seen: usize,
    before: usize,
}

impl Progress {
    /// `None` if nothing is to be printed.
    pub(super) fn callback(verbose: Verbose) -> Option<Box<dyn Callback>> {
        let started = Instant::now();
        let progress = Self { verbose, bar: None, started, first_step: None, seen: 0, before: 0 };
        (verbose != Verbose::Silent).then(|| Box::new(progress) as _)
    }

    /// Seconds that a step takes.
    fn pace(&self, now: Instant) -> f64 {
        let steps = self.seen - self.before;
        match self.first_step {
            Some(first) if steps > 1 => (now - first).as_secs_f64() / (steps - 1) as f64,
            _ => (now - self.started).as_secs_f64() / steps.max(1) as f64,
        }
    }
}

impl Callback for Progress {
    fn on_train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        static SAID: Once = Once::new();
        if cfg!(debug_assertions) {
            SAID.call_once(|| say("This is a debug build; a release build is many times faster."));
        }
        Ok(())
    }

    fn on_epoch_begin(&mut self, epoch: usize, training: &mut Training<'_>) -> Result<()> {
        if self.verbose == Verbose::Auto {
            self.bar = LiveBar::new();
        }
        if self.bar.is_some() && training.epochs() > 1 {
            say(&format!("Epoch {}/{}", epoch + 1, training.epochs()));
        }
        self.started = Instant::now();
        self.first_step = None;
        (self.seen, self.before) = (0, 0);
        Ok(())
    }

    fn on_train_batch_end(
        &mut self,
        batch: usize,
        logs: &Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        let now = Instant::now();
        self.seen = batch + 1;
        if self.first_step.is_none() {
            (self.first_step, self.before) = (Some(now), batch);
        }
        let (seen, steps, pace) = (self.seen, training.steps(), self.pace(now));
        if let Some(bar) = &mut self.bar {
            let left = pace * (steps - seen) as f64;
            bar.draw(now, || bar_line(seen, steps, &remaining(left), pace, logs));
        }
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        let now = Instant::now();
        let (seen, steps, pace) = (self.seen, training.steps(), self.pace(now));
        let took = format!("{:.0}s", (now - self.started).as_secs_f64());
        match self.bar.take() {
            Some(bar) => {
                bar.clear();
                say(&bar_line(seen, steps, &took, pace, logs));
            }
            None => {
                let epoch = match training.epochs() {
                    1 => String::new(),
                    epochs => format!("Epoch {}/{epochs} - ", epoch + 1),
                };
                let (count, pace) = (count(seen, steps), per_step(pace));
                say(&format!("{epoch}{count} - {took} - {pace} - {logs}"));
            }
        }
        Ok(())
    }

    fn on_train_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        // There is one only if an error ended the epoch.
        if let Some(bar) = self.bar.take() {
            bar.clear();
        }
        Ok(())
    }
}

/// `  421/1688 ━━━━━━━━━━━━━━━━━━━━ 8s 7ms/step - loss: 0.6114`, in Keras' colours.
fn bar_line(seen: usize, steps: usize, time: &str, pace: f64, logs: &Logs) -> String {
    const BOLD: &str = "\x1b[1m";
    const GREEN: &str = "\x1b[32m";
    const WHITE: &str = "\x1b[37m";
    const PLAIN: &str = "\x1b[0m";
    /// As wide as Keras' bar; only its colour says how far it is.
    const WIDTH: usize = 20;
    let done = WIDTH * seen / steps;
    let (count, pace) = (count(seen, steps), per_step(pace));
    let (green, white) = ("━".repeat(done), "━".repeat(WIDTH - done));
    format!(
        "{BOLD}{count}{PLAIN} {GREEN}{green}{PLAIN}{WHITE}{white}{PLAIN} {BOLD}{time}{PLAIN} {pace} - {logs}"
    )
}

/// ` 421/1688`, always as wide.
fn count(seen: usize, steps: usize) -> String {
    let width = steps.to_string().len();
    format!("{seen:>width$}/{steps}")
}

/// The time that is left: `59s`, `2:05` or `1:02:05`.
fn remaining(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..=60 => format!("{s}s"),
        61..=3600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60),
    }
}

/// `7ms/step`, and with other units for steps of other lengths.
fn per_step(seconds: f64) -> String {
    if seconds >= 1.0 {
        format!("{seconds:.0}s/step")
    } else if seconds >= 1e-3 {
        format!("{:.0}ms/step", seconds * 1e3)
    } else {
        format!("{:.0}us/step", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_keras_writes_them() {
        for (seconds, text) in [
            (0.0, "0s"),
            (8.9, "8s"),
            (59.9, "59s"),
            (61.0, "1:01"),
            (125.5, "2:05"),
            (3725.0, "1:02:05"),
        ] {
            assert_eq!(remaining(seconds), text);
        }
        for (seconds, text) in
            [(12.3, "12s/step"), (1.0, "1s/step"), (0.0071, "7ms/step"), (0.0004, "400us/step")]
        {
            assert_eq!(per_step(seconds), text);
        }
    }

    #[test]
    fn the_bar_is_always_as_wide() {
        let mut logs = Logs::default();
        logs.set("loss", 0.61138);
        let colours = ["\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"];
        for (seen, count) in [(1, "   1/1688"), (421, " 421/1688"), (1688, "1688/1688")] {
            let line = bar_line(seen, 1688, "8s", 0.007, &logs);
            let green = line.split("\x1b[37m").next().map_or(0, |done| done.matches('━').count());
            assert_eq!(green, 20 * seen / 1688);
            let plain = colours.iter().fold(line, |line, colour| line.replace(colour, ""));
            assert_eq!(plain, format!("{count} ━━━━━━━━━━━━━━━━━━━━ 8s 7ms/step - loss: 0.6114"));
        }
    }

    #[test]
    fn the_first_step_does_not_count_for_the_pace() {
        let now = Instant::now();
        let second = std::time::Duration::from_secs(1);
        let first_step = Some(now + 10 * second);
        let mut progress = Progress {
            verbose: Verbose::Line,
            bar: None,
            started: now,
            first_step,
            seen: 1,
            before: 0,
        };
        assert_eq!(progress.pace(now + 10 * second), 10.0);
        progress.seen = 5;
        assert_eq!(progress.pace(now + 12 * second), 0.5);
    }
}
