use super::{Loss, LossPass, classes, cross_entropy};
use crate::layers::Activation;
use crate::shape::Shape;

/// Cross-entropy with integer labels `(n)` in `0..classes`, otherwise the same as
/// [`CategoricalCrossentropy`](struct@super::CategoricalCrossentropy). Keras:
/// `SparseCategoricalCrossentropy`.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let scores = Input::new(3);
/// let model = Model::new(&scores, scores.apply(Activation::Softmax)?)?;
/// let mut model = model.compile(Adam::default(), SparseCategoricalCrossentropy, [Accuracy]);
/// let x = array![[8.0, 1.0, 1.0], [0.0, 9.0, 1.0], [2.0, 3.0, 5.0]];
/// let logs = model.evaluate(&x, &array![0, 1, 2])?;
/// assert!((logs["loss"] - 0.0573756).abs() < 1e-6);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCategoricalCrossentropy;

impl Loss for SparseCategoricalCrossentropy {
    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        classes(output)?;
        Ok(Shape::from(&output[..output.len() - 1]))
    }

    fn check_target(&self, output: &Shape, target: &[f32]) -> Result<(), String> {
        let classes = classes(output)?;
        let wrong = |&label: &f32| label.fract() != 0.0 || !(0.0..classes as f32).contains(&label);
        match target.iter().find(|label| wrong(label)) {
            Some(label) => Err(format!(
                "is {label}; labels are whole numbers from 0 to {}, one less than the model's \
                 classes",
                classes - 1
            )),
            None => Ok(()),
        }
    }

    fn pairs_with(&self) -> Option<Activation> {
        Some(Activation::Softmax)
    }

    fn run(&self, pass: LossPass<'_>) -> f64 {
        let targets = pass.targets;
        cross_entropy(pass, |row, class| f32::from(targets[row] == class as f32))
    }
}
