//! Optimizers: one file each.

use std::fmt;

mod adam;

pub use adam::Adam;

/// How weights move along their gradients.
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// How many numbers it keeps for each weight, such as Adam's two moments; at most [`MOST_SLOTS`].
    fn slots(&self) -> usize;

    /// The learning rate.
    fn learning_rate(&self) -> f64;

    /// Changes the learning rate from the next step on.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// What makes no sense in the configuration, as the end of a sentence.
    fn check(&self) -> Result<(), String>;

    /// Moves the weights `w` along their gradients `g`. `iteration` counts the steps before this
    /// one; each slot is as long as `w`, all zero before the first step.
    fn step(&self, iteration: u64, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]);
}

/// The most numbers an optimizer may keep for each weight.
pub const MOST_SLOTS: usize = 4;
