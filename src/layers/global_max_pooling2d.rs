use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, image, whole_image};
use crate::kernels::max_pool::{max_pool, max_pool_backward};
use crate::shape::Shape;

/// The largest value of each channel over the whole image: `(n, h, w, c)` becomes `(n, c)`. Keras:
/// `GlobalMaxPooling2D`, also called `GlobalMaxPool2D`.
///
/// The gradient goes to the first of equal largest values, as in [`MaxPool2D`](super::MaxPool2D);
/// TensorFlow shares it among them.
///
/// # Errors
/// `apply` refuses inputs that are not images.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([7, 7, 512]);
/// assert_eq!(image.apply(GlobalMaxPool2D::new())?.shape().to_string(), "(512)");
/// let kept = image.apply(GlobalMaxPool2D::new().keepdims(true))?;
/// assert_eq!(kept.shape().to_string(), "(1, 1, 512)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalMaxPool2D {
    pub(crate) keepdims: bool,
}

impl GlobalMaxPool2D {
    /// The layer; its output has the channels as its only axis.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether height and width stay as axes of size 1; `false`.
    pub fn keepdims(self, keepdims: bool) -> Self {
        Self { keepdims }
    }
}

impl Layer for GlobalMaxPool2D {
    fn class_name(&self) -> &'static str {
        "GlobalMaxPooling2D"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [_, _, c] = image(inputs)?;
        Ok(if self.keepdims { [1, 1, c].into() } else { c.into() })
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        let (window, c) = whole_image(pass.x.shapes());
        max_pool(&window, c * pass.layout.across(), false, pass.x.get(0), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (window, c) = whole_image(pass.x.shapes());
        let c = c * pass.layout.across();
        if let Some(dx) = pass.dx.get(0) {
            max_pool_backward(&window, c, false, pass.x.get(0), pass.y, pass.dy, dx);
        }
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let (window, c) = whole_image(inputs);
        let [h, w] = window.input;
        Details::default()
            .sized(format!("channels: {c}, of each the largest of {h}·{w} = {}", h * w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(GlobalMaxPool2D::new, &[[4, 3, 5].into()]);
        check::laws(|| GlobalMaxPool2D::new().keepdims(true), &[[1, 5, 1].into()]);
    }

    #[test]
    fn refuses_vectors() {
        let sentence = "global_max_pooling2d: cannot take an input of shape (784): it wants images of (height, \
                        width, channels)";
        check::refuses(GlobalMaxPool2D::new(), &[784.into()], sentence);
    }
}
