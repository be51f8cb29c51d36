//! Optimizers and learning-rate schedules: one file each.

use std::fmt;
use std::ops::Range;

mod adam;
mod adamw;
mod common;
mod cosine_decay;
mod exponential_decay;
mod learning_rate;
mod piecewise_constant_decay;
mod rmsprop;
mod sgd;

pub use adam::Adam;
pub use adamw::AdamW;
pub use common::Common;
pub use cosine_decay::CosineDecay;
pub use exponential_decay::ExponentialDecay;
pub use learning_rate::{LearningRate, LearningRateSchedule};
pub use piecewise_constant_decay::PiecewiseConstantDecay;
pub use rmsprop::RMSprop;
pub use sgd::SGD;

/// How weights move along their gradients.
///
/// What all optimizers share — the learning rate, weight decay, clipping of gradients and the count of
/// steps — is in [`Common`], with setters here; an optimizer of one's own keeps one and writes `step`.
///
/// ```
/// use convnet::prelude::*;
///
/// let sgd = SGD::new(0.1).clipnorm(1.0).momentum(0.9).weight_decay(1e-4);
/// assert_eq!(sgd.learning_rate(), 0.1);
/// ```
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// What errors call it: `adam`.
    fn name(&self) -> &'static str;

    /// What all optimizers share.
    fn common(&self) -> &Common;

    /// The same, to be changed.
    fn common_mut(&mut self) -> &mut Common;

    /// How many numbers it keeps for each weight, such as Adam's two moments; at most [`MOST_SLOTS`].
    fn slots(&self) -> usize;

    /// What makes no sense in the optimizer's own configuration, as the end of a sentence.
    fn check(&self) -> Result<(), String>;

    /// Moves the weights `w` along their gradients `g`. Each slot is as long as `w`, all zero before
    /// the first step.
    fn step(&self, step: Step, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]);

    /// The learning rate of the next step.
    fn learning_rate(&self) -> f64 {
        self.common().learning_rate.at(self.iterations())
    }

    /// Changes the learning rate from the next step on; takes the place of a schedule too.
    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.common_mut().learning_rate = learning_rate.into();
    }

    /// The steps taken so far.
    fn iterations(&self) -> u64 {
        self.common().iterations
    }

    /// By which share of the learning rate all weights shrink before each step, `w −= lr·decay·w`; 0.
    fn weight_decay(mut self, weight_decay: f64) -> Self
    where
        Self: Sized,
    {
        self.common_mut().weight_decay = weight_decay;
        self
    }

    /// The largest norm that the gradient to each weight tensor may have; a larger one is scaled down
    /// to it. None.
    fn clipnorm(mut self, clipnorm: f64) -> Self
    where
        Self: Sized,
    {
        self.common_mut().clipnorm = Some(clipnorm);
        self
    }

    /// The largest norm that the gradient to all weights together may have; a larger one is scaled
    /// down to it. None.
    fn global_clipnorm(mut self, global_clipnorm: f64) -> Self
    where
        Self: Sized,
    {
        self.common_mut().global_clipnorm = Some(global_clipnorm);
        self
    }

    /// The largest number that a gradient may hold, up or down; what is beyond it is set to it. None.
    fn clipvalue(mut self, clipvalue: f64) -> Self
    where
        Self: Sized,
    {
        self.common_mut().clipvalue = Some(clipvalue);
        self
    }

    /// A whole step, in Keras' order: gradients are clipped, weights decay, then they move. `tensors`
    /// says where in `w` and `g` each weight lies.
    fn apply(
        &mut self,
        tensors: &[Range<usize>],
        w: &mut [f32],
        g: &mut [f32],
        slots: &mut [&mut [f32]],
    ) {
        let common = self.common();
        let step = Step { iteration: common.iterations, learning_rate: self.learning_rate() };
        common.clip(tensors, g);
        common.decay(step.learning_rate, w);
        self.step(step, w, g, slots);
        self.common_mut().iterations += 1;
    }
}

/// For programs that choose one at run time.
impl Optimizer for Box<dyn Optimizer> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn common(&self) -> &Common {
        (**self).common()
    }

    fn common_mut(&mut self) -> &mut Common {
        (**self).common_mut()
    }

    fn slots(&self) -> usize {
        (**self).slots()
    }

    fn check(&self) -> Result<(), String> {
        (**self).check()
    }

    fn step(&self, step: Step, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        (**self).step(step, w, g, slots);
    }

    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }

    fn iterations(&self) -> u64 {
        (**self).iterations()
    }

    fn apply(
        &mut self,
        tensors: &[Range<usize>],
        w: &mut [f32],
        g: &mut [f32],
        slots: &mut [&mut [f32]],
    ) {
        (**self).apply(tensors, w, g, slots);
    }
}

/// Which step an optimizer takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The steps before this one.
    pub iteration: u64,
    /// The learning rate of this step.
    pub learning_rate: f64,
}

/// The most numbers an optimizer may keep for each weight.
pub const MOST_SLOTS: usize = 4;

/// All that makes no sense in an optimizer, as the end of a sentence.
pub(crate) fn check(optimizer: &dyn Optimizer) -> Result<(), String> {
    let checked = optimizer.common().check().and_then(|()| optimizer.check());
    checked.map_err(|why| format!("{}: {why}", optimizer.name()))
}

/// Refuses a learning rate that is negative or not finite, as the end of a sentence.
pub(crate) fn check_rate(rate: f64) -> Result<(), String> {
    at_least_0([("learning_rate", rate)])
}

/// Refuses the first of these numbers that is negative or not finite.
fn at_least_0<const N: usize>(numbers: [(&str, f64); N]) -> Result<(), String> {
    match numbers.into_iter().find(|(_, value)| !(0.0..=f64::MAX).contains(value)) {
        Some((name, value)) => Err(format!("{name} is {value}; it must be at least 0 and finite")),
        None => Ok(()),
    }
}

/// Refuses the first of these numbers that is not above 0 or not finite, also as `f32`.
fn above_0<const N: usize>(numbers: [(&str, f64); N]) -> Result<(), String> {
    let is_above_0 = |value: f64| value as f32 > 0.0 && (value as f32).is_finite();
    match numbers.into_iter().find(|&(_, value)| !is_above_0(value)) {
        Some((name, value)) => Err(format!(
            "{name} is {value}; it must be above 0 and finite, also in single precision"
        )),
        None => Ok(()),
    }
}

/// Refuses the first of these numbers that is not in `0..1`.
fn below_1<const N: usize>(numbers: [(&str, f64); N]) -> Result<(), String> {
    match numbers.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
        Some((name, value)) => Err(format!("{name} is {value}; it must be at least 0 and below 1")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where three steps and one beside the count lead.
    fn moved(mut optimizer: impl Optimizer) -> [f32; 2] {
        let mut w = [1.0, -2.0];
        let mut slots = vec![[0.0; 2]; optimizer.slots()];
        let mut slots: Vec<&mut [f32]> = slots.iter_mut().map(|slot| &mut slot[..]).collect();
        for _ in 0..3 {
            optimizer.apply(&[0..1, 1..2], &mut w, &mut [0.3, -0.1], &mut slots);
        }
        assert_eq!(optimizer.iterations(), 3);
        let step = Step { iteration: 3, learning_rate: 0.5 };
        optimizer.step(step, &mut w, &[0.2, 0.2], &mut slots);
        w
    }

    #[test]
    fn nothing_is_kept_that_no_step_needs() {
        let (sgd, rmsprop) = (SGD::default, RMSprop::default);
        assert_eq!([sgd().slots(), sgd().momentum(0.9).slots()], [0, 1]);
        assert_eq!([rmsprop().slots(), rmsprop().momentum(0.9).slots()], [1, 2]);
        assert_eq!(rmsprop().momentum(0.9).centered(true).slots(), 3);
    }

    #[test]
    fn a_box_does_what_the_optimizer_in_it_does() {
        let adam = || Adam::new(0.1).clipnorm(0.2).weight_decay(0.1);
        let boxed = || -> Box<dyn Optimizer> { Box::new(adam()) };
        assert_eq!(moved(boxed()), moved(adam()));
        let mut boxed = boxed();
        assert_eq!((boxed.name(), boxed.slots(), boxed.learning_rate()), ("adam", 2, 0.1));
        boxed.set_learning_rate(0.5);
        assert_eq!(boxed.learning_rate(), 0.5);
        let wrong: Box<dyn Optimizer> = Box::new(adam().beta_1(1.0));
        assert_eq!(wrong.check(), Err("beta_1 is 1; it must be at least 0 and below 1".into()));
    }
}
