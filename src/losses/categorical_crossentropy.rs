use super::{Loss, LossPass, check_smoothing, classes, cross_entropy};
use crate::layers::Activation;
use crate::shape::Shape;

/// Cross-entropy between one-hot targets `(n, classes)` and predicted probabilities:
/// `−Σ t·log p`, averaged over the batch. Keras: `CategoricalCrossentropy`.
///
/// Where the model ends in softmax, the loss is computed from the scores before it, and the gradient
/// to them is `(p − t) / n`: exact where probabilities round to 0 or 1. Without softmax the outputs
/// are taken as probabilities, scaled to sum 1 and kept within `1e-7..=1 − 1e-7`.
///
/// Targets may be any distribution over the classes; those that are negative or do not sum to 1 are
/// refused.
///
/// The name alone is the loss with Keras' defaults; `CategoricalCrossentropy.label_smoothing(0.1)`
/// changes one.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let scores = Input::new(3);
/// let model = Model::new(&scores, scores.apply(Activation::Softmax)?)?;
/// let mut model = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
/// let x = array![[8.0, 1.0, 1.0], [0.0, 9.0, 1.0], [2.0, 3.0, 5.0]];
/// let logs = model.evaluate(&x, &array![[1, 0, 0], [0, 1, 0], [0, 0, 1]])?;
/// assert!((logs["loss"] - 0.0573756).abs() < 1e-6);
/// assert_eq!(logs["accuracy"], 1.0);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CategoricalCrossentropy {
    label_smoothing: f32,
}

/// [`struct@CategoricalCrossentropy`] with Keras' defaults.
#[allow(non_upper_case_globals)]
pub const CategoricalCrossentropy: CategoricalCrossentropy =
    CategoricalCrossentropy { label_smoothing: 0.0 };

impl CategoricalCrossentropy {
    /// How much of each target is spread over all classes, so that the model is not drawn to be
    /// certain: `t·(1 − s) + s/classes`; 0.
    pub fn label_smoothing(self, label_smoothing: f32) -> Self {
        Self { label_smoothing }
    }
}

/// How far a row of targets may be from sum 1: labels smoothed in f32 pass, wrong ones do not.
const SUM_TOLERANCE: f32 = 1e-3;

impl Loss for CategoricalCrossentropy {
    fn check(&self) -> Result<(), String> {
        check_smoothing(self.label_smoothing)
    }

    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        classes(output)?;
        Ok(output.clone())
    }

    fn check_target(&self, output: &Shape, target: &[f32]) -> Result<(), String> {
        let classes = classes(output)?;
        for target in target.chunks_exact(classes) {
            let sum: f32 = target.iter().sum();
            let why = match target.iter().find(|&&t| t < 0.0) {
                Some(negative) => format!("it holds {negative}"),
                None if (sum - 1.0).abs() > SUM_TOLERANCE => {
                    format!("its {classes} numbers sum to {sum}")
                }
                None => continue,
            };
            return Err(format!(
                "is not one-hot: {why}; make labels with to_categorical, or use \
                 SparseCategoricalCrossentropy for integer labels"
            ));
        }
        Ok(())
    }

    fn pairs_with(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }

    fn run(&self, pass: LossPass<'_>) -> f64 {
        let (targets, classes) = (pass.targets, pass.classes);
        let (kept, spread) = (1.0 - self.label_smoothing, self.label_smoothing / classes as f32);
        cross_entropy(pass, |row, class| targets[row * classes + class] * kept + spread)
    }
}
