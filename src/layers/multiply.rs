use serde::{Deserialize, Serialize};

use super::merge::common_shape;
use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of};
use crate::kernels::elementwise::by_pieces;
use crate::shape::Shape;

/// The product of inputs of the same shape, element by element. Keras: `Multiply`.
///
/// # Errors
/// `apply` refuses fewer than two inputs, and inputs of different shapes.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([8, 8, 4]);
/// let branch = image.apply(Conv2D::new(4, 3).padding(Same))?;
/// let product = (&image, &branch).apply(Multiply::new())?;
/// assert_eq!(product.shape().to_string(), "(8, 8, 4)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multiply {}

impl Multiply {
    /// The layer; it has nothing to configure.
    pub fn new() -> Self {
        Self {}
    }
}

impl Layer for Multiply {
    fn class_name(&self) -> &'static str {
        "Multiply"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        common_shape(inputs, "Multiply")
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        let Infer { x, y, .. } = pass;
        let count = x.shapes().len();
        by_pieces(y, count, |y, here| {
            y.copy_from_slice(&x.get(0)[here.clone()]);
            for i in 1..count {
                y.iter_mut().zip(&x.get(i)[here.clone()]).for_each(|(y, x)| *y *= x);
            }
        });
    }

    /// `dx = dy ·` all the others; `y/x` would not do where `x` is 0.
    fn backward(&self, mut pass: Backward<'_>) {
        let count = pass.x.shapes().len();
        for i in 0..count {
            let Some(dx) = pass.dx.get(i) else { continue };
            by_pieces(dx, count, |dx, here| {
                dx.copy_from_slice(&pass.dy[here.clone()]);
                for other in (0..count).filter(|&other| other != i) {
                    let x = &pass.x.get(other)[here.clone()];
                    dx.iter_mut().zip(x).for_each(|(dx, x)| *dx *= x);
                }
            });
        }
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        Details::default().setting(format!("the product of {} inputs", inputs.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(Multiply::new, &[[2, 3].into(), [2, 3].into()]);
        check::laws(Multiply::new, &[[1].into(), [1].into(), [1].into()]);
    }

    #[test]
    fn refuses_one_input_and_different_shapes() {
        check::refuses(
            Multiply::new(),
            &[[2].into()],
            "multiply: cannot take an input of shape (2): it wants at least two inputs",
        );
        check::refuses(
            Multiply::new(),
            &[[2].into(), [3].into()],
            "multiply: cannot take inputs of shapes (2), (3): it wants inputs of the same shape; give what leads to them the same sizes",
        );
    }
}
