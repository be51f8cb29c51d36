use super::monitor::Watch;
use super::state::lacks;
use super::{Callback, Logs, Mode, Monitor, State, Training, refuse_nan, say};
use crate::error::Result;
use crate::model::Snapshot;

/// Stops when a number has not become better for some epochs. Keras: `EarlyStopping`.
///
/// As a callback of `fit`, or alone in a loop of your own through [`update`](Self::update):
///
/// ```
/// use convnet::prelude::*;
///
/// let mut stopping = EarlyStopping::new(Monitor::ValLoss).patience(2);
/// for (epoch, val_loss) in [1.0, 0.9, 0.95, 0.96, 0.5].into_iter().enumerate() {
///     let decision = stopping.update(epoch, val_loss);
///     // decision.keep: these are the weights to keep
///     if decision.stop {
///         break;
///     }
/// }
/// assert_eq!(stopping.stopped_epoch(), Some(3));
/// assert_eq!(stopping.best_epoch(), Some(1));
/// ```
///
/// As in Keras, an epoch that is better than the best but not than `baseline` does not stop training
/// and does not reset the count; `patience(0)` stops at the same epoch as `patience(1)`; and with
/// `restore_best_weights` the best weights are restored however training ends.
///
/// # Errors
/// `fit` refuses a number to monitor that it will not have, and a `min_delta` or `baseline` of NaN.
#[derive(Debug)]
pub struct EarlyStopping {
    watch: Watch,
    min_delta: f64,
    patience: usize,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    verbose: bool,
    wait: usize,
    stopped_epoch: Option<usize>,
    best: Option<f64>,
    best_epoch: Option<usize>,
    best_weights: Option<Snapshot>,
    restored_epoch: Option<usize>,
}

/// What [`EarlyStopping::update`] makes of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The weights of this epoch are the ones to keep.
    pub keep: bool,
    /// Training should end.
    pub stop: bool,
}

impl EarlyStopping {
    /// Watches this number. Patience 0, no smallest improvement, no baseline, weights left as they
    /// are at the end.
    pub fn new(monitor: Monitor) -> Self {
        Self {
            watch: Watch::new(monitor),
            min_delta: 0.0,
            patience: 0,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            verbose: false,
            wait: 0,
            stopped_epoch: None,
            best: None,
            best_epoch: None,
            best_weights: None,
            restored_epoch: None,
        }
    }

    /// By how much a number has to be better to count; 0. The sign does not matter.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { min_delta: min_delta.abs(), ..self }
    }

    /// After how many epochs without improvement training stops; 0, which is as 1.
    pub fn patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// Which way is better; what the metric says of itself. Used alone, a [`Monitor::Named`] goes
    /// down unless this says otherwise.
    pub fn mode(self, mode: Mode) -> Self {
        Self { watch: self.watch.mode(mode), ..self }
    }

    /// A value that has to be beaten for the count of epochs to start anew; none.
    pub fn baseline(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ..self }
    }

    /// Whether the weights of the best epoch are put back at the end; `false`. The optimizer's state
    /// is not rolled back.
    pub fn restore_best_weights(self, restore_best_weights: bool) -> Self {
        Self { restore_best_weights, ..self }
    }

    /// Epochs before this one are not looked at; 0.
    pub fn start_from_epoch(self, start_from_epoch: usize) -> Self {
        Self { start_from_epoch, ..self }
    }

    /// Whether to print when it stops and what it restores; `false`.
    pub fn verbose(self, verbose: bool) -> Self {
        Self { verbose, ..self }
    }

    /// The epoch after which training was stopped, if it was.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.stopped_epoch
    }

    /// The epoch whose weights are, or would be, restored.
    pub fn best_epoch(&self) -> Option<usize> {
        self.best_epoch
    }

    /// The epoch whose weights were put back at the end of training, if any were.
    pub fn restored_epoch(&self) -> Option<usize> {
        self.restored_epoch
    }

    /// The best value so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// Forgets all epochs; `fit` does this at its start.
    pub fn reset(&mut self) {
        self.wait = 0;
        self.stopped_epoch = None;
        self.best = None;
        self.best_epoch = None;
        self.best_weights = None;
        self.restored_epoch = None;
    }

    /// Takes in the value of an epoch, the epochs counted from 0.
    pub fn update(&mut self, epoch: usize, value: f64) -> Decision {
        if epoch < self.start_from_epoch {
            return Decision { keep: false, stop: false };
        }
        self.wait += 1;
        if self.best.is_none_or(|best| self.is_better(value, best)) {
            self.best = Some(value);
            self.best_epoch = Some(epoch);
            if self.baseline.is_none_or(|baseline| self.is_better(value, baseline)) {
                self.wait = 0;
            }
            return Decision { keep: true, stop: false };
        }
        let stop = self.wait >= self.patience;
        if stop {
            self.stopped_epoch = Some(epoch);
        }
        Decision { keep: false, stop }
    }

    fn is_better(&self, value: f64, than: f64) -> bool {
        self.watch.is_better(value, than, self.min_delta)
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        const WHO: &str = "early stopping";
        self.reset();
        refuse_nan(WHO, "min_delta", self.min_delta)?;
        if let Some(baseline) = self.baseline {
            refuse_nan(WHO, "baseline", baseline)?;
        }
        self.watch.begin(WHO, training)
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        let Some(value) = logs.get(&self.watch.key()) else { return Ok(()) };
        let decision = self.update(epoch, value);
        if decision.keep && self.restore_best_weights {
            match &mut self.best_weights {
                Some(best) => training.model().snapshot_into(best),
                None => self.best_weights = Some(training.snapshot()),
            }
        }
        if decision.stop {
            training.stop();
        }
        Ok(())
    }

    fn on_train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if let (Some(epoch), true) = (self.stopped_epoch, self.verbose) {
            say(&format!("Epoch {}: early stopping", epoch + 1));
        }
        if let (Some(epoch), Some(best)) = (self.best_epoch, self.best_weights.take()) {
            training.restore(&best);
            self.restored_epoch = self.best_epoch;
            if self.verbose {
                let epoch = epoch + 1;
                say(&format!("Restoring model weights from the end of the best epoch: {epoch}."));
            }
        }
        Ok(())
    }

    fn state(&self) -> State {
        State::new()
            .count("wait", self.wait)
            .count("stopped_epoch", self.stopped_epoch)
            .number("best", self.best)
            .count("best_epoch", self.best_epoch)
            .weights("best_weights", self.best_weights.as_ref())
    }

    fn set_state(&mut self, state: &State, _training: &Training<'_>) -> Result<(), String> {
        self.wait = state.get_count("wait").ok_or_else(|| lacks("wait"))?;
        self.stopped_epoch = state.get_count("stopped_epoch");
        self.best = state.get_number("best");
        self.best_epoch = state.get_count("best_epoch");
        self.best_weights = state.get_weights("best_weights").cloned();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs run, the epoch it stopped at, and the one whose weights would be restored.
    fn run(stopping: EarlyStopping, values: &[f64]) -> (usize, Option<usize>, Option<usize>) {
        let mut stopping = stopping;
        let mut kept = None;
        let mut epochs = 0;
        for (epoch, &value) in values.iter().enumerate() {
            let decision = stopping.update(epoch, value);
            epochs += 1;
            if decision.keep {
                kept = Some(epoch);
            }
            if decision.stop {
                break;
            }
        }
        assert_eq!(kept, stopping.best_epoch());
        (epochs, stopping.stopped_epoch(), kept)
    }

    #[test]
    fn decides_as_keras_does() {
        let new = || EarlyStopping::new(Monitor::ValLoss);
        let nan = f64::NAN;
        type Case<'a> = (&'a [f64], EarlyStopping, usize, Option<usize>, Option<usize>);
        let cases: [Case<'_>; 13] = [
            (&[1., 0.9, 0.95, 0.5], new(), 3, Some(2), Some(1)),
            (&[1., 0.9, 0.95, 0.5], new().patience(1), 3, Some(2), Some(1)),
            (&[1., 0.9, 0.95, 0.96, 0.5], new().patience(2), 4, Some(3), Some(1)),
            (&[10., 9., 8., 9., 8.9, 8.8, 8.7, 8.6, 8.5], new().patience(3), 6, Some(5), Some(2)),
            (&[0.5, 0.4, 0.3, 0.35], new().patience(5), 4, None, Some(2)),
            (&[1., 0.95, 0.91, 0.89, 0.88], new().patience(3).min_delta(0.1), 5, None, Some(3)),
            (&[0.5, 0.5, 0.5], new().patience(2), 3, Some(2), Some(0)),
            (&[0.9, 0.8, 0.7, 0.65, 0.62, 0.61], new().patience(2).baseline(0.5), 6, None, Some(5)),
            (
                &[0.9, 0.8, 0.7, 0.71, 0.72, 0.73],
                new().patience(5).baseline(0.5),
                5,
                Some(4),
                Some(2),
            ),
            (
                &[0.1, 0.2, 0.3, 0.9, 0.8, 0.85, 0.86],
                new().patience(2).start_from_epoch(3),
                7,
                Some(6),
                Some(4),
            ),
            (&[0.5, 0.4, 0.3], new().patience(1).start_from_epoch(5), 3, None, None),
            (&[nan, 0.5, 0.4, 0.3], new().patience(2), 3, Some(2), Some(0)),
            (&[0.5, 0.6, 0.55, 0.58], new().patience(2).mode(Mode::Max), 4, Some(3), Some(1)),
        ];
        for (values, stopping, epochs, stopped, restored) in cases {
            let about = format!("{values:?} {stopping:?}");
            assert_eq!(run(stopping, values), (epochs, stopped, restored), "{about}");
        }
    }

    #[test]
    fn can_be_used_again() {
        let mut stopping = EarlyStopping::new(Monitor::Accuracy);
        assert!(stopping.update(0, 0.5).keep);
        assert!(stopping.update(1, 0.4).stop);
        stopping.reset();
        assert_eq!(stopping.update(0, 0.1), Decision { keep: true, stop: false });
        assert_eq!(stopping.best(), Some(0.1));
    }
}
