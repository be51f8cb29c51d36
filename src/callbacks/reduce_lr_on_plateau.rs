use super::monitor::Watch;
use super::state::lacks;
use super::{Callback, Logs, Mode, Monitor, State, Training, refuse_nan, say};
use crate::error::{Error, Result};

/// Lowers the learning rate when a number has not become better for some epochs. Keras:
/// `ReduceLROnPlateau`.
///
/// Adds the learning rate of each epoch to the history as `learning_rate`. As a callback of `fit`, or
/// alone in a loop of your own through [`update`](Self::update):
///
/// ```
/// use convnet::prelude::*;
///
/// let mut plateau = ReduceLROnPlateau::new(Monitor::ValLoss).factor(0.5).patience(2);
/// let mut learning_rate = 1.0;
/// let rates = [0.9, 0.9, 0.9, 0.8].map(|val_loss| {
///     learning_rate = plateau.update(val_loss, learning_rate).unwrap_or(learning_rate);
///     learning_rate
/// });
/// assert_eq!(rates, [1.0, 1.0, 0.5, 0.5]);
/// ```
///
/// # Errors
/// `fit` refuses a number to monitor that it will not have, a `factor` outside `0..1`, a `min_lr` that is
/// negative or not finite, a `min_delta` of NaN, and an optimizer whose learning rate follows a schedule.
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    watch: Watch,
    factor: f64,
    patience: usize,
    min_delta: f64,
    cooldown: usize,
    min_lr: f64,
    verbose: bool,
    wait: usize,
    cooling: usize,
    best: Option<f64>,
}

impl ReduceLROnPlateau {
    /// Watches this number: to a tenth after 10 epochs that are not better by 0.0001.
    pub fn new(monitor: Monitor) -> Self {
        Self {
            watch: Watch::new(monitor),
            factor: 0.1,
            patience: 10,
            min_delta: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
            verbose: false,
            wait: 0,
            cooling: 0,
            best: None,
        }
    }

    /// What the learning rate is multiplied by, below 1; 0.1.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// After how many epochs without improvement the rate is lowered; 10.
    pub fn patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// By how much a number has to be better to count; 0.0001. The sign does not matter.
    pub fn min_delta(self, min_delta: f64) -> Self {
        Self { min_delta: min_delta.abs(), ..self }
    }

    /// How many epochs after a reduction are not counted; 0.
    pub fn cooldown(self, cooldown: usize) -> Self {
        Self { cooldown, ..self }
    }

    /// The learning rate is never lowered below this; 0.
    pub fn min_lr(self, min_lr: f64) -> Self {
        Self { min_lr, ..self }
    }

    /// Which way is better; what the metric says of itself. Used alone, a [`Monitor::Named`] goes
    /// down unless this says otherwise.
    pub fn mode(self, mode: Mode) -> Self {
        Self { watch: self.watch.mode(mode), ..self }
    }

    /// Whether to print each new learning rate; `false`.
    pub fn verbose(self, verbose: bool) -> Self {
        Self { verbose, ..self }
    }

    /// Forgets all epochs; `fit` does this at its start.
    pub fn reset(&mut self) {
        self.wait = 0;
        self.cooling = 0;
        self.best = None;
    }

    /// Takes in the value of an epoch; the new learning rate, if there is to be one.
    pub fn update(&mut self, value: f64, learning_rate: f64) -> Option<f64> {
        if self.cooling > 0 {
            self.cooling -= 1;
            self.wait = 0;
        }
        if self.best.is_none_or(|best| self.watch.is_better(value, best, self.min_delta)) {
            self.best = Some(value);
            self.wait = 0;
            return None;
        }
        if self.cooling > 0 {
            return None;
        }
        self.wait += 1;
        if self.wait < self.patience || learning_rate <= self.min_lr {
            return None;
        }
        self.cooling = self.cooldown;
        self.wait = 0;
        Some((learning_rate * self.factor).max(self.min_lr))
    }
}

impl Callback for ReduceLROnPlateau {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        const WHO: &str = "reduce lr on plateau";
        self.reset();
        if !(0.0..1.0).contains(&self.factor) {
            let factor = self.factor;
            return Err(Error::training(format!(
                "{WHO}: factor is {factor}; it must be at least 0 and below 1"
            )));
        }
        if !(0.0..=f64::MAX).contains(&self.min_lr) {
            let min_lr = self.min_lr;
            return Err(Error::training(format!(
                "{WHO}: min_lr is {min_lr}; it must be at least 0 and finite"
            )));
        }
        refuse_nan(WHO, "min_delta", self.min_delta)?;
        training.refuse_schedule(WHO)?;
        self.watch.begin(WHO, training)
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        let learning_rate = training.learning_rate();
        logs.set("learning_rate", learning_rate);
        let Some(value) = logs.get(&self.watch.key()) else { return Ok(()) };
        if let Some(reduced) = self.update(value, learning_rate) {
            training.set_learning_rate(reduced);
            if self.verbose {
                say(&format!("Epoch {}: reducing the learning rate to {reduced}", epoch + 1));
            }
        }
        Ok(())
    }

    fn state(&self) -> State {
        let state = State::new().count("wait", self.wait).count("cooling", self.cooling);
        state.number("best", self.best)
    }

    fn set_state(&mut self, state: &State, _training: &Training<'_>) -> Result<(), String> {
        self.wait = state.get_count("wait").ok_or_else(|| lacks("wait"))?;
        self.cooling = state.get_count("cooling").ok_or_else(|| lacks("cooling"))?;
        self.best = state.get_number("best");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn can_be_used_again() {
        let mut plateau = ReduceLROnPlateau::new(Monitor::Accuracy).patience(1).cooldown(3);
        assert_eq!(plateau.update(0.5, 1.0), None);
        assert_eq!(plateau.update(0.4, 1.0), Some(0.1));
        plateau.reset();
        assert_eq!(plateau.update(0.1, 1.0), None);
        assert_eq!(plateau.update(0.1, 1.0), Some(0.1));
    }
}
