use std::fmt;

use super::Training;
use crate::error::{Error, Result};

/// Which number of an epoch a callback watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Monitor {
    /// `val_loss`, smaller is better.
    ValLoss,
    /// `val_accuracy`, larger is better.
    ValAccuracy,
    /// `loss`, smaller is better.
    Loss,
    /// `accuracy`, larger is better.
    Accuracy,
    /// Any other key of the history.
    Named(String),
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ValLoss => "val_loss",
            Self::ValAccuracy => "val_accuracy",
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::Named(name) => name,
        })
    }
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What the metric says of itself; losses go down.
    Auto,
    /// Smaller is better.
    Min,
    /// Larger is better.
    Max,
}

/// What a callback watches, and which way it gets better.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    monitor: Monitor,
    mode: Mode,
    larger_is_better: bool,
}

impl Watch {
    pub(super) fn new(monitor: Monitor) -> Self {
        let larger_is_better = matches!(monitor, Monitor::Accuracy | Monitor::ValAccuracy);
        Self { monitor, mode: Mode::Auto, larger_is_better }
    }

    pub(super) fn monitor(self, monitor: Monitor) -> Self {
        Self::new(monitor).mode(self.mode)
    }

    pub(super) fn mode(self, mode: Mode) -> Self {
        let auto = Self::new(self.monitor);
        let larger_is_better = match mode {
            Mode::Auto => auto.larger_is_better,
            Mode::Min => false,
            Mode::Max => true,
        };
        Self { mode, larger_is_better, ..auto }
    }

    /// The key that is watched.
    pub(super) fn key(&self) -> String {
        self.monitor.to_string()
    }

    /// Asks a training which way the number gets better; refuses one that it will not have.
    pub(super) fn begin(&mut self, who: &str, training: &Training<'_>) -> Result<()> {
        let name = self.key();
        match (training.larger_is_better(&name), self.mode) {
            (Some(larger), Mode::Auto) => self.larger_is_better = larger,
            (Some(_), _) => {}
            (None, _) => {
                let known: Vec<&str> = training.metrics().collect();
                let advice = if name.starts_with("val_") {
                    "give validation_split or validation_data, or monitor another"
                } else {
                    "monitor one of these"
                };
                return Err(Error::training(format!(
                    "{who}: there is no `{name}` to monitor; this training has {}; {advice}",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Whether a value is better than another one, by more than `min_delta`.
    pub(super) fn is_better(&self, value: f64, than: f64, min_delta: f64) -> bool {
        if self.larger_is_better { value - min_delta > than } else { value + min_delta < than }
    }
}
