use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, Padding, Pair, config_of, pool};
use crate::kernels::max_pool::{max_pool, max_pool_backward};
use crate::kernels::window::Window;
use crate::shape::Shape;

/// The largest value of each pool: `(n, h, w, c)` becomes `(n, oh, ow, c)`. Keras: `MaxPooling2D`, also
/// called `MaxPool2D`.
///
/// With padding `Valid`, `oh = (h − pool)/s + 1`, rounded down; with `Same`, `oh = h/s`, rounded up; cells
/// outside the image never win. The gradient goes to the first of equal largest values, in rows from
/// the top left; pools that overlap add up.
///
/// # Errors
/// `apply` refuses inputs that are not images, pools larger than the image unless padding is `Same`,
/// and sizes of 0.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([13, 13, 256]);
/// let y = image.apply(MaxPool2D::new(3).strides(2))?;
/// assert_eq!(y.shape().to_string(), "(6, 6, 256)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2D {
    pool_size: Pair,
    strides: Pair,
    padding: Padding,
    /// Whether ReLU follows, see [`Layer::with_relu_behind`].
    #[serde(skip)]
    relu: bool,
}

impl MaxPool2D {
    /// Pools of a size: a number for a square, or (height, width). They do not overlap unless
    /// `strides` says otherwise.
    pub fn new(pool_size: impl Into<Pair>) -> Self {
        let pool_size = pool_size.into();
        Self { pool_size, strides: pool_size, padding: Padding::Valid, relu: false }
    }

    /// How far the pool moves each time, down and to the right; `pool_size`.
    pub fn strides(self, strides: impl Into<Pair>) -> Self {
        Self { strides: strides.into(), ..self }
    }

    /// Whether pools may hang over the edge of the image; `Valid`: no, and what does not fill a pool
    /// is left out.
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    fn window(&self, inputs: &[Shape]) -> Result<(Window, usize), String> {
        pool(inputs, self.pool_size, self.strides, self.padding)
    }

    /// The same for shapes that `output_shape` has accepted.
    pub(crate) fn accepted(&self, inputs: &[Shape]) -> (Window, usize) {
        self.window(inputs).unwrap_or_else(|why| panic!("max_pooling2d: {why}"))
    }
}

impl Layer for MaxPool2D {
    fn class_name(&self) -> &'static str {
        "MaxPooling2D"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (Window { output: [h, w], .. }, c) = self.window(inputs)?;
        Ok([h, w, c].into())
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        let (window, c) = self.accepted(pass.x.shapes());
        let c = c * pass.layout.across();
        max_pool(&window, c, self.relu, pass.x.get(0), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (window, c) = self.accepted(pass.x.shapes());
        let c = c * pass.layout.across();
        if let Some(dx) = pass.dx.get(0) {
            max_pool_backward(&window, c, self.relu, pass.x.get(0), pass.y, pass.dy, dx);
        }
    }

    fn with_relu_behind(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Self { relu: true, ..self.clone() }))
    }

    fn commutes_with_relu(&self) -> bool {
        true
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let (window, c) = self.accepted(inputs);
        Details::default().pool(self.pool_size, self.padding, &window, c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;
    use Padding::{Same, Valid};

    #[test]
    fn obeys_the_laws() {
        for padding in [Valid, Same] {
            for pool in [Pair([1, 1]), Pair([2, 2]), Pair([3, 2])] {
                for strides in [Pair([1, 1]), Pair([2, 2]), Pair([3, 1])] {
                    let layer = || MaxPool2D::new(pool).strides(strides).padding(padding);
                    check::laws(layer, &[[5, 4, 3].into()]);
                }
            }
        }
        check::laws(|| MaxPool2D::new(7).padding(Same), &[[3, 3, 1].into()]);
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let who = "max_pooling2d: cannot take an input of shape (3, 3, 8):";
        let image = [Shape::from([3, 3, 8])];
        let sentence =
            format!("{who} a 5×5 pool does not fit; use padding(Same) or a smaller pool");
        check::refuses(MaxPool2D::new(5), &image, &sentence);
        let sentence = format!("{who} its strides are 2×0; every size is at least 1");
        check::refuses(MaxPool2D::new(2).strides((2, 0)), &image, &sentence);
        let sentence = format!("{who} its pool is 0×0; every size is at least 1");
        check::refuses(MaxPool2D::new(0), &image, &sentence);
    }
}
