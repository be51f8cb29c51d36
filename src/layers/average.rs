use serde::{Deserialize, Serialize};

use super::merge::{common_shape, sum, sum_backward};
use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of};
use crate::shape::Shape;

/// The mean of inputs of the same shape, element by element. Keras: `Average`.
///
/// # Errors
/// `apply` refuses fewer than two inputs, and inputs of different shapes.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([8, 8, 4]);
/// let branch = image.apply(Conv2D::new(4, 3).padding(Same))?;
/// let mean = (&image, &branch).apply(Average::new())?;
/// assert_eq!(mean.shape().to_string(), "(8, 8, 4)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Average {}

impl Average {
    /// The layer; it has nothing to configure.
    pub fn new() -> Self {
        Self {}
    }
}

impl Layer for Average {
    fn class_name(&self) -> &'static str {
        "Average"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        common_shape(inputs, "Average")
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        let count = pass.x.shapes().len();
        sum(pass, 1.0 / count as f32, false);
    }

    fn backward(&self, pass: Backward<'_>) {
        let count = pass.x.shapes().len();
        sum_backward(pass, 1.0 / count as f32, false);
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        Details::default().setting(format!("the mean of {} inputs", inputs.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(Average::new, &[[2, 3].into(), [2, 3].into()]);
        check::laws(Average::new, &[[1].into(), [1].into(), [1].into()]);
    }

    #[test]
    fn refuses_one_input_and_different_shapes() {
        check::refuses(
            Average::new(),
            &[[2].into()],
            "average: cannot take an input of shape (2): it wants at least two inputs",
        );
        check::refuses(
            Average::new(),
            &[[2].into(), [3].into()],
            "average: cannot take inputs of shapes (2), (3): it wants inputs of the same shape; give what leads to them the same sizes",
        );
    }
}
