use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::random_transform::{self, Bounds, affine, filled};
use super::{
    Activation, Backward, Config, Details, FillMode, Forward, Infer, Inputs, Interpolation, Layer,
    Layout, config_of, image,
};
use crate::kernels::affine::{Affine, Transform};
use crate::shape::Shape;

/// In training, shifts each image by random fractions of its height and width; in inference does
/// nothing. Keras: `RandomTranslation`.
///
/// The shift down is drawn from `height_factor`, that to the right from `width_factor`: from a number
/// `f`, between `−f` and `f`. What is drawn depends on the seed of `fit`, the epoch, the batch, the layer
/// and the sample alone.
///
/// # Errors
/// `apply` refuses inputs that are not images, and factors outside `-1..=1`.
///
/// ```
/// use convnet::layers::FillMode;
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// let layer = RandomTranslation::new(0.1, (0.0, 0.2)).fill_mode(FillMode::Constant);
/// assert_eq!(image.apply(layer)?.shape(), image.shape());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomTranslation {
    height_factor: Bounds,
    width_factor: Bounds,
    fill_mode: FillMode,
    interpolation: Interpolation,
    fill_value: f64,
}

/// Between which numbers parts of an image lie.
const LIMITS: [f64; 2] = [-1.0, 1.0];

impl RandomTranslation {
    /// By at most these fractions of the height and the width, down and to the right.
    pub fn new(height_factor: impl Into<Bounds>, width_factor: impl Into<Bounds>) -> Self {
        Self {
            height_factor: height_factor.into(),
            width_factor: width_factor.into(),
            fill_mode: FillMode::Reflect,
            interpolation: Interpolation::Bilinear,
            fill_value: 0.0,
        }
    }

    /// What lies round the image; `Reflect`.
    pub fn fill_mode(self, fill_mode: FillMode) -> Self {
        Self { fill_mode, ..self }
    }

    /// How values between pixels are found; `Bilinear`.
    pub fn interpolation(self, interpolation: Interpolation) -> Self {
        Self { interpolation, ..self }
    }

    /// What lies round the image with `FillMode::Constant`; 0.
    pub fn fill_value(self, fill_value: f64) -> Self {
        Self { fill_value, ..self }
    }

    /// An image seen shifted by so many pixels.
    pub(super) fn transform([down, right]: [f64; 2]) -> Transform {
        [1.0, 0.0, -right as f32, 0.0, 1.0, -down as f32]
    }

    fn affine(&self, x: &Inputs<'_>) -> Affine {
        affine(x, self.interpolation, self.fill_mode, self.fill_value)
    }
}

impl Layer for RandomTranslation {
    fn class_name(&self) -> &'static str {
        "RandomTranslation"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.height_factor.check("height_factor", LIMITS)?;
        self.width_factor.check("width_factor", LIMITS)?;
        random_transform::check_fill_value(self.fill_value)?;
        image(inputs).map(Shape::from)
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    /// The transforms.
    fn saved_len(&self, _inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        random_transform::saved_len(n)
    }

    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
    }

    fn forward(&self, pass: Forward<'_>) {
        let affine = self.affine(&pass.x);
        let [h, w] = [affine.image[0] as f64, affine.image[1] as f64];
        random_transform::forward(pass, affine, |random| {
            Self::transform([
                self.height_factor.draw(LIMITS, random) * h,
                self.width_factor.draw(LIMITS, random) * w,
            ])
        });
    }

    fn backward(&self, pass: Backward<'_>) {
        let affine = self.affine(&pass.x);
        random_transform::backward(pass, affine);
    }

    fn at_inference(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Activation::Linear))
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        let (height, width) = (self.height_factor, self.width_factor);
        let details =
            Details::default().setting(format!("height_factor {height}, width_factor {width}"));
        filled(details, self.fill_mode, self.fill_value, self.interpolation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check::{self, Bench};
    use ndarray::ArrayD;

    #[test]
    fn obeys_the_laws() {
        for fill_mode in [FillMode::Constant, FillMode::Nearest, FillMode::Reflect, FillMode::Wrap]
        {
            for interpolation in [Interpolation::Bilinear, Interpolation::Nearest] {
                let layer =
                    || RandomTranslation::new(0.4, (0.1, 0.5)).fill_mode(fill_mode).fill_value(0.3);
                check::laws(|| layer().interpolation(interpolation), &[[5, 4, 2].into()]);
            }
        }
    }

    #[test]
    fn shifts_lie_within_the_bounds_and_fill_them() {
        // A ramp along each axis shows the shift in its middle.
        let n = 300;
        let ramp = ArrayD::from_shape_fn(vec![n, 21, 31, 2], |at| at[1 + at[3]] as f32);
        let layer = RandomTranslation::new(0.2, (0.1, 0.3));
        let mut bench = Bench::new(layer, &[[21, 31, 2].into()], n, Layout::Rows);
        let input = [ramp];
        assert_eq!(bench.predict(&input), input[0]);
        let y = bench.forward(&input);
        let middle = |axis: usize| (0..n).map(move |i| y[i * 1302 + (10 * 31 + 15) * 2 + axis]);
        for (axis, [lower, upper]) in [(0, [10.0 - 4.2, 10.0 + 4.2]), (1, [15.0 - 9.3, 15.0 - 3.1])]
        {
            let [least, most] =
                [middle(axis).fold(99.0, f32::min), middle(axis).fold(0.0, f32::max)];
            assert!(lower - 1e-4 <= least && least < lower + 0.2, "{least} {lower}");
            assert!(upper - 0.2 < most && most <= upper + 1e-4, "{most} {upper}");
        }
    }

    #[test]
    fn refuses_factors_beyond_the_image() {
        for (layer, reason) in [
            (
                RandomTranslation::new(1.5, 0.0),
                "its height_factor is 1.5; give a number in -1..=1, or two, the smaller one first",
            ),
            (
                RandomTranslation::new(0.5, (0.2, -0.1)),
                "its width_factor is 0.2 to -0.1; give a number in -1..=1, or two, the smaller one first",
            ),
            (
                RandomTranslation::new(0.1, 0.1).fill_value(f64::NAN),
                "its fill_value is NaN; it is a finite number",
            ),
        ] {
            let who = "random_translation: cannot take an input of shape (4, 4, 1):";
            check::refuses(layer, &[[4, 4, 1].into()], &format!("{who} {reason}"));
        }
    }
}
