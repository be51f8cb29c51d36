use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, image, whole_image};
use crate::kernels::average_pool::{average_pool, average_pool_backward};
use crate::shape::Shape;

/// The mean of each channel over the whole image: `(n, h, w, c)` becomes `(n, c)`. Keras:
/// `GlobalAveragePooling2D`.
///
/// # Errors
/// `apply` refuses inputs that are not images.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([7, 7, 512]);
/// assert_eq!(image.apply(GlobalAveragePooling2D::new())?.shape().to_string(), "(512)");
/// let kept = image.apply(GlobalAveragePooling2D::new().keepdims(true))?;
/// assert_eq!(kept.shape().to_string(), "(1, 1, 512)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalAveragePooling2D {
    pub(crate) keepdims: bool,
}

impl GlobalAveragePooling2D {
    /// The layer; its output has the channels as its only axis.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether height and width stay as axes of size 1; `false`.
    pub fn keepdims(self, keepdims: bool) -> Self {
        Self { keepdims }
    }
}

impl Layer for GlobalAveragePooling2D {
    fn class_name(&self) -> &'static str {
        "GlobalAveragePooling2D"
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
        average_pool(&window, c * pass.layout.across(), pass.x.get(0), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (window, c) = whole_image(pass.x.shapes());
        let c = c * pass.layout.across();
        if let Some(dx) = pass.dx.get(0) {
            average_pool_backward(&window, c, pass.dy, dx);
        }
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let (window, c) = whole_image(inputs);
        let [h, w] = window.input;
        Details::default().sized(format!("channels: {c}, of each the mean of {h}·{w} = {}", h * w))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(GlobalAveragePooling2D::new, &[[4, 3, 5].into()]);
        check::laws(|| GlobalAveragePooling2D::new().keepdims(true), &[[1, 5, 1].into()]);
    }

    #[test]
    fn refuses_vectors() {
        let sentence = "global_average_pooling2d: cannot take an input of shape (784): it wants images of (height, \
                        width, channels)";
        check::refuses(GlobalAveragePooling2D::new(), &[784.into()], sentence);
    }
}
