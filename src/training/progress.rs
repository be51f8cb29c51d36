//! What `fit` prints.

use std::sync::Once;
use std::time::Instant;

use crate::callbacks::{Callback, Logs, Training};
use crate::error::Result;

/// What [`fit`](super::CompiledModel::fit) prints to the standard output.
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
    started: Instant,
}

impl Progress {
    pub(super) fn new(verbose: Verbose) -> Option<Box<dyn Callback>> {
        match verbose {
            Verbose::Silent => None,
            Verbose::Auto | Verbose::Line => Some(Box::new(Self { started: Instant::now() })),
        }
    }
}

impl Callback for Progress {
    fn on_train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        static SAID: Once = Once::new();
        if cfg!(debug_assertions) {
            SAID.call_once(|| {
                println!("This is a debug build; a release build is many times faster.")
            });
        }
        Ok(())
    }

    fn on_epoch_begin(&mut self, epoch: usize, training: &mut Training<'_>) -> Result<()> {
        if training.epochs() > 1 {
            println!("Epoch {}/{}", epoch + 1, training.epochs());
        }
        self.started = Instant::now();
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        let steps = training.steps();
        let elapsed = self.started.elapsed();
        println!(
            "{steps}/{steps} - {}s - {}ms/step - {logs}",
            elapsed.as_secs(),
            elapsed.as_millis() / steps as u128
        );
        Ok(())
    }
}
