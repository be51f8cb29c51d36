use super::{Loss, LossPass, elementwise};
use crate::shape::Shape;

/// The mean of the squared differences between targets and outputs of the same shape, over all
/// numbers of a sample and all samples. Keras: `MeanSquaredError`, as a loss and as a metric.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(2);
/// let model = Model::new(&x, x.apply(Activation::Linear)?)?;
/// let mut model = model.compile(Adam::default(), MeanSquaredError, [MeanSquaredError]);
/// let logs = model.evaluate(&array![[1.0, 2.0]], &array![[1.0, 4.0]])?;
/// assert_eq!(logs["loss"], 2.0);
/// assert_eq!(logs["mean_squared_error"], 2.0);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanSquaredError;

impl Loss for MeanSquaredError {
    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn check_target(&self, _output: &Shape, _target: &[f32]) -> Result<(), String> {
        Ok(())
    }

    fn run(&self, pass: LossPass<'_>) -> f64 {
        elementwise(pass, |y, t| {
            let off = *y - t;
            (f64::from(off) * f64::from(off), 2.0 * off)
        })
    }
}
