use super::{EPSILON, Loss, LossPass, check_smoothing, elementwise};
use crate::layers::Activation;
use crate::shape::Shape;

/// Cross-entropy of yes-or-no answers: `−t·log p − (1 − t)·log(1 − p)` for each number of the output,
/// averaged over all of them and the batch. Keras: `BinaryCrossentropy`.
///
/// Where the model ends in sigmoid, the loss is computed from the scores before it, and the gradient
/// to them is `(p − t) / count`. Without sigmoid the outputs are taken as probabilities and kept
/// within `1e-7..=1 − 1e-7`.
///
/// Targets have the shape of the output, `(n, 1)` for a single answer; they may be any numbers from 0
/// to 1. The name alone is the loss with Keras' defaults; `BinaryCrossentropy.label_smoothing(0.1)`
/// changes one.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let score = Input::new(1);
/// let model = Model::new(&score, score.apply(Activation::Sigmoid)?)?;
/// let mut model = model.compile(Adam::default(), BinaryCrossentropy, [BinaryAccuracy::new()]);
/// let logs = model.evaluate(&array![[0.0], [-50.0]], &array![[1], [0]])?;
/// assert!((logs["loss"] - 0.5 * 2.0_f64.ln()).abs() < 1e-7);
/// assert_eq!(logs["binary_accuracy"], 0.5);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BinaryCrossentropy {
    label_smoothing: f32,
}

/// [`struct@BinaryCrossentropy`] with Keras' defaults.
#[allow(non_upper_case_globals)]
pub const BinaryCrossentropy: BinaryCrossentropy = BinaryCrossentropy { label_smoothing: 0.0 };

impl BinaryCrossentropy {
    /// How far targets are drawn towards one half, `t·(1 − s) + s/2`; 0.
    pub fn label_smoothing(self, label_smoothing: f32) -> Self {
        Self { label_smoothing }
    }
}

impl Loss for BinaryCrossentropy {
    fn check(&self) -> Result<(), String> {
        check_smoothing(self.label_smoothing)
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn check_target(&self, _output: &Shape, target: &[f32]) -> Result<(), String> {
        match target.iter().find(|t| !(0.0..=1.0).contains(*t)) {
            Some(t) => Err(format!("holds {t}; labels of yes-or-no answers are from 0 to 1")),
            None => Ok(()),
        }
    }

    fn pairs_with(&self) -> Option<Activation> {
        Some(Activation::Sigmoid)
    }

    fn run(&self, pass: LossPass<'_>) -> f64 {
        let (kept, spread) = (1.0 - self.label_smoothing, 0.5 * self.label_smoothing);
        if pass.scores {
            elementwise(pass, |y, t| {
                let (s, t) = (*y, t * kept + spread);
                // Of ±|s| only what is below 0 goes into the exponential.
                let e = (-s.abs()).exp();
                *y = if s >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
                let loss = f64::from(s.max(0.0)) - f64::from(s) * f64::from(t);
                (loss + f64::from(e).ln_1p(), *y - t)
            })
        } else {
            elementwise(pass, |y, t| {
                let (p, t) = (y.clamp(EPSILON, 1.0 - EPSILON), t * kept + spread);
                // As Keras does, in f32: 1 − (1 − 1e-7) is 1.19e-7.
                let other = 1.0 - p;
                let [log_p, log_other] = [p, other].map(|p| f64::from(p).ln());
                let moves = if p == *y { (1.0 - t) / other - t / p } else { 0.0 };
                (-f64::from(t) * log_p - f64::from(1.0 - t) * log_other, moves)
            })
        }
    }
}
