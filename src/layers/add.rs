use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::merge::{common_shape, sum, sum_backward};
use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of};
use crate::shape::Shape;

/// The sum of inputs of the same shape, element by element. Keras: `Add`.
///
/// # Errors
/// `apply` refuses fewer than two inputs, and inputs of different shapes.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([8, 8, 4]);
/// let branch = image.apply(Conv2D::new(4, 3).padding(Same))?;
/// let sum = (&image, &branch).apply(Add::new())?;
/// assert_eq!(sum.shape().to_string(), "(8, 8, 4)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Whether ReLU follows, see [`Layer::with_relu_behind`].
    #[serde(skip)]
    relu: bool,
}

impl Add {
    /// The layer; it has nothing to configure.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Layer for Add {
    fn class_name(&self) -> &'static str {
        "Add"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        common_shape(inputs, "Add")
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        sum(pass, 1.0, self.relu);
    }

    fn backward(&self, pass: Backward<'_>) {
        sum_backward(pass, 1.0, self.relu);
    }

    fn with_relu_behind(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Self { relu: true }))
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        Details::default().setting(format!("the sum of {} inputs", inputs.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(Add::new, &[[2, 3].into(), [2, 3].into()]);
        check::laws(Add::new, &[[1].into(), [1].into(), [1].into()]);
    }

    #[test]
    fn refuses_one_input_and_different_shapes() {
        check::refuses(
            Add::new(),
            &[[2].into()],
            "add: cannot take an input of shape (2): it wants at least two inputs",
        );
        check::refuses(
            Add::new(),
            &[[2].into(), [3].into()],
            "add: cannot take inputs of shapes (2), (3): it wants inputs of the same shape; give what leads to them the same sizes",
        );
    }
}
