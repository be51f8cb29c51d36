//! Losses: one file each.

use std::fmt;

use crate::layers::Activation;
use crate::shape::Shape;

mod binary_crossentropy;
mod categorical_crossentropy;
mod for_outputs;
mod mean_squared_error;
mod sparse_categorical_crossentropy;

pub use binary_crossentropy::BinaryCrossentropy;
pub use categorical_crossentropy::CategoricalCrossentropy;
pub use for_outputs::{IntoLoss, IntoLosses, Losses};
pub use mean_squared_error::MeanSquaredError;
pub use sparse_categorical_crossentropy::SparseCategoricalCrossentropy;

/// What training makes small: a number for each sample, averaged over the batch.
pub trait Loss: fmt::Debug + Send + Sync {
    /// What makes no sense in the configuration, as the end of a sentence.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The shape of one sample's target for an output of this shape, or why there is none.
    fn target_shape(&self, output: &Shape) -> Result<Shape, String>;

    /// Looks at the target of one sample before any work is done with it; the error is the end of a
    /// sentence that begins with "the label of sample 7".
    fn check_target(&self, output: &Shape, target: &[f32]) -> Result<(), String>;

    /// The activation that this loss takes over from the last layer, so that it can work on scores.
    fn pairs_with(&self) -> Option<Activation> {
        None
    }

    /// The sum of the losses of the samples of a batch.
    fn run(&self, pass: LossPass<'_>) -> f64;
}

/// What a loss is handed for a batch of `n` samples.
#[derive(Debug)]
pub struct LossPass<'a> {
    /// How many samples.
    pub n: usize,
    /// The size of the last axis of the output: the number of classes.
    pub classes: usize,
    /// The output `(n, …, classes)`. Where the loss took over an activation these are scores, and
    /// the loss turns them into the activation's output.
    pub y: &'a mut [f32],
    /// Whether `y` are scores.
    pub scores: bool,
    /// The targets, `n` samples of `target_shape`.
    pub targets: &'a [f32],
    /// The gradient of the mean loss of the batch to what `y` holds on entry, to be overwritten;
    /// `None` where nothing is trained.
    pub dy: Option<&'a mut [f32]>,
    /// The share that these samples have in their batch: 1 unless a batch is worked on in parts.
    pub share: f32,
}

/// Cross-entropy over rows of classes, with the target of row `row` and class `class` given by
/// `target(row, class)`.
fn cross_entropy(pass: LossPass<'_>, target: impl Fn(usize, usize) -> f32) -> f64 {
    let LossPass { n, classes, y, scores, mut dy, share, .. } = pass;
    let rows = y.len() / classes;
    let scale = share / rows as f32;
    let mut sum = 0.0;
    for (row, y) in y.chunks_exact_mut(classes).enumerate() {
        let dy = dy.as_deref_mut().map(|dy| &mut dy[row * classes..][..classes]);
        let target = |class| target(row, class);
        sum += if scores {
            from_scores(y, dy, scale, target)
        } else {
            from_probabilities(y, dy, scale, target)
        };
    }
    // The rows of a sample, such as the pixels of an image, count as their mean.
    sum * n as f64 / rows as f64
}

/// `Σ t·(log Σ exp(s) − s)` with the gradient `p·Σt − t`; the scores become probabilities.
fn from_scores(
    y: &mut [f32],
    dy: Option<&mut [f32]>,
    scale: f32,
    target: impl Fn(usize) -> f32,
) -> f64 {
    let largest = y.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = y.iter().map(|&s| (s - largest).exp()).sum();
    let log_total = f64::from(total).ln();
    let (mut loss, mut weight) = (0.0, 0.0);
    for (class, score) in y.iter_mut().enumerate() {
        let shifted = *score - largest;
        let t = target(class);
        if t != 0.0 {
            loss += f64::from(t) * (log_total - f64::from(shifted));
            weight += t;
        }
        *score = shifted.exp() / total;
    }
    if let Some(dy) = dy {
        for (class, (dy, &p)) in dy.iter_mut().zip(&*y).enumerate() {
            *dy = (p * weight - target(class)) * scale;
        }
    }
    loss
}

/// The mean over all numbers of each output: `each` says what one number costs, given it and its
/// target, and what that moves by with it; it may write over the number.
fn elementwise(pass: LossPass<'_>, each: impl Fn(&mut f32, f32) -> (f64, f32)) -> f64 {
    let LossPass { n, y, targets, dy, share, .. } = pass;
    let scale = share / y.len() as f32;
    let numbers = y.len() as f64;
    let mut sum = 0.0;
    match dy {
        Some(dy) => {
            for ((y, &t), dy) in y.iter_mut().zip(targets).zip(dy) {
                let (loss, moves) = each(y, t);
                sum += loss;
                *dy = moves * scale;
            }
        }
        None => y.iter_mut().zip(targets).for_each(|(y, &t)| sum += each(y, t).0),
    }
    sum * n as f64 / numbers
}

/// Refuses a share of smoothing that is none.
fn check_smoothing(label_smoothing: f32) -> Result<(), String> {
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(format!("label_smoothing is {label_smoothing}; it must be from 0 to 1"));
    }
    Ok(())
}

/// Keras keeps probabilities this far from 0 and 1.
const EPSILON: f32 = 1e-7;

/// `−Σ t·log p` with `p` scaled to sum 1 and kept within `1e-7..=1 − 1e-7`.
fn from_probabilities(
    y: &[f32],
    dy: Option<&mut [f32]>,
    scale: f32,
    target: impl Fn(usize) -> f32,
) -> f64 {
    let total: f32 = y.iter().sum();
    let clipped = |p: f32| (p / total).clamp(EPSILON, 1.0 - EPSILON);
    let inside = |p: f32| clipped(p) == p / total;
    let log = |p: f32| f64::from(clipped(p)).ln();
    let loss = y.iter().enumerate().map(|(class, &p)| -f64::from(target(class)) * log(p)).sum();
    if let Some(dy) = dy {
        // A probability outside the bounds does not move the loss; one inside moves it through the
        // sum as well.
        let through_sum: f32 =
            (0..y.len()).filter(|&class| inside(y[class])).map(&target).sum::<f32>() / total;
        for (class, (dy, &p)) in dy.iter_mut().zip(y).enumerate() {
            let own = if inside(p) { target(class) / p } else { 0.0 };
            *dy = (through_sum - own) * scale;
        }
    }
    loss
}

/// The number of classes, at least two: with a single one every prediction is certain.
fn classes(output: &Shape) -> Result<usize, String> {
    match output.last() {
        Some(&classes) if classes > 1 => Ok(classes),
        _ => Err(format!(
            "the model's output has the shape {output}; cross-entropy wants at least 2 classes on \
             the last axis; use BinaryCrossentropy for a single answer"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_knows_what_the_targets_sum_to() {
        let (mut y, targets, mut dy) = ([1.0, 2.0, 3.0], [0.2, 0.3, 0.499_1], [0.0; 3]);
        assert!(CategoricalCrossentropy.check_target(&3.into(), &targets).is_ok());
        let total = y.map(f32::exp).iter().sum::<f32>();
        // Of Σt·log Σ exp(s) − Σ t·s.
        let expected = [0, 1, 2].map(|i| 0.999_1 * f32::exp(y[i]) / total - targets[i]);
        CategoricalCrossentropy.run(LossPass {
            n: 1,
            classes: 3,
            y: &mut y,
            scores: true,
            targets: &targets,
            dy: Some(&mut dy),
            share: 1.0,
        });
        for (found, expected) in dy.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
