use serde::{Deserialize, Serialize};

use super::{
    Backward, Config, Details, Infer, Inputs, Interpolation, Lanes, Layer, config_of, image,
};
use crate::kernels::interpolate::Interpolate;
use crate::shape::Shape;

/// Brings images to another height and width: `(n, h, w, c)` becomes `(n, height, width, c)`. Keras:
/// `Resizing`.
///
/// # Errors
/// `apply` refuses inputs that are not images, and sizes of 0.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// assert_eq!(image.apply(Resizing::new(67, 67))?.shape().to_string(), "(67, 67, 1)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resizing {
    height: usize,
    width: usize,
    pub(crate) interpolation: Interpolation,
}

impl Resizing {
    /// To this height and width.
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width, interpolation: Interpolation::Bilinear }
    }

    /// How values between pixels are found; `Bilinear`.
    pub fn interpolation(self, interpolation: Interpolation) -> Self {
        Self { interpolation, ..self }
    }

    /// For shapes that `output_shape` has accepted.
    pub(crate) fn accepted(&self, inputs: &[Shape]) -> Interpolate {
        let [h, w, channels] = image(inputs).unwrap_or_else(|why| panic!("resizing: {why}"));
        let output = [self.height, self.width];
        Interpolate { input: [h, w], output, channels, interpolation: self.interpolation }
    }

    /// Samples in lanes are like more channels.
    fn resize(&self, x: &Inputs<'_>) -> Interpolate {
        let resize = self.accepted(x.shapes());
        Interpolate { channels: resize.channels * x.layout.across(), ..resize }
    }
}

impl Layer for Resizing {
    fn class_name(&self) -> &'static str {
        "Resizing"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [_, _, c] = image(inputs)?;
        Ok([self.height, self.width, c].into())
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        self.resize(&pass.x).forward(pass.x.get(0), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            self.resize(&pass.x).backward(pass.dy, dx);
        }
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let Self { height, width, interpolation } = self;
        let [h, w, _] = image(inputs).unwrap_or_else(|why| panic!("resizing: {why}"));
        Details::default()
            .setting(format!("interpolation {}", format!("{interpolation:?}").to_lowercase()))
            .sized(format!("height and width: {h}×{w} resized to {height}×{width}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        for interpolation in [Interpolation::Bilinear, Interpolation::Nearest] {
            for (height, width) in [(7, 4), (2, 9), (1, 1)] {
                let layer = || Resizing::new(height, width).interpolation(interpolation);
                check::laws(layer, &[[3, 4, 2].into()]);
            }
        }
    }

    #[test]
    fn refuses_vectors_and_sizes_of_0() {
        let sentence = "resizing: cannot take an input of shape (784): it wants images of (height, \
                        width, channels)";
        check::refuses(Resizing::new(2, 2), &[784.into()], sentence);
        let sentence = "resizing: cannot take an input of shape (2, 2, 1): the output of shape (0, 3, 1) \
                        would be empty; every size is at least 1";
        check::refuses(Resizing::new(0, 3), &[[2, 2, 1].into()], sentence);
    }
}
