use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::random_transform::{self, Bounds, affine, filled};
use super::{
    Activation, Backward, Config, Details, FillMode, Forward, Infer, Inputs, Interpolation, Layer,
    Layout, config_of, image,
};
use crate::kernels::affine::{Affine, Transform};
use crate::shape::Shape;

/// In training, turns each image by a random angle; in inference does nothing. Keras: `RandomRotation`.
///
/// The angle is drawn from `factor`, in whole turns counter-clockwise: from a number `f`, between `−f` and
/// `f`. What is drawn depends on the seed of `fit`, the epoch, the batch, the layer and the sample alone.
///
/// # Errors
/// `apply` refuses inputs that are not images, and factors outside `-1..=1`.
///
/// ```
/// use convnet::layers::FillMode;
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// let layer = RandomRotation::new(0.05).fill_mode(FillMode::Constant);
/// assert_eq!(image.apply(layer)?.shape(), image.shape());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomRotation {
    factor: Bounds,
    fill_mode: FillMode,
    interpolation: Interpolation,
    fill_value: f64,
}

/// Between which numbers parts of a turn lie.
const LIMITS: [f64; 2] = [-1.0, 1.0];

impl RandomRotation {
    /// By at most these fractions of a whole turn.
    pub fn new(factor: impl Into<Bounds>) -> Self {
        Self {
            factor: factor.into(),
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

    /// An image of this size seen turned about its middle by so many turns.
    pub(super) fn transform([h, w]: [usize; 2], turns: f64) -> Transform {
        let (sin, cos) = (turns * std::f64::consts::TAU).sin_cos();
        let [x, y] = [w, h].map(|size| (size as f64 - 1.0) / 2.0);
        [cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos]
            .map(|number| number as f32)
    }

    fn affine(&self, x: &Inputs<'_>) -> Affine {
        affine(x, self.interpolation, self.fill_mode, self.fill_value)
    }
}

impl Layer for RandomRotation {
    fn class_name(&self) -> &'static str {
        "RandomRotation"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.factor.check("factor", LIMITS)?;
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
        let [h, w, _] = affine.image;
        random_transform::forward(pass, affine, |random| {
            Self::transform([h, w], self.factor.draw(LIMITS, random))
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
        let details = Details::default().setting(format!("factor {}", self.factor));
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
                    || RandomRotation::new((0.05, 0.4)).fill_mode(fill_mode).fill_value(0.3);
                check::laws(|| layer().interpolation(interpolation), &[[5, 4, 2].into()]);
            }
        }
    }

    #[test]
    fn a_quarter_turn_is_counter_clockwise() {
        let layer = RandomRotation::new((0.25, 0.25));
        let mut bench = Bench::new(layer, &[[3, 3, 1].into()], 1, Layout::Rows);
        let x = ArrayD::from_shape_fn(vec![1, 3, 3, 1], |at| (at[1] * 3 + at[2]) as f32);
        let y: Vec<f32> = bench.forward(&[x]).iter().map(|y| y.round()).collect();
        assert_eq!(y, [2.0, 5.0, 8.0, 1.0, 4.0, 7.0, 0.0, 3.0, 6.0]);
    }

    #[test]
    fn angles_lie_within_the_bounds_and_fill_them() {
        // A ramp to the right, turned, rises along the direction of the angle.
        let n = 300;
        let ramp = ArrayD::from_shape_fn(vec![n, 21, 21, 1], |at| at[2] as f32);
        let layer = RandomRotation::new((-0.05, 0.1));
        let mut bench = Bench::new(layer, &[[21, 21, 1].into()], n, Layout::Rows);
        let input = [ramp];
        assert_eq!(bench.predict(&input), input[0]);
        let y = bench.forward(&input);
        let turns = |i: usize| {
            let pixel = |row: usize, column: usize| y[i * 441 + row * 21 + column];
            let (along, down) = (pixel(10, 13) - pixel(10, 7), pixel(13, 10) - pixel(7, 10));
            (-down).atan2(along) / std::f32::consts::TAU
        };
        let all = || (0..n).map(turns);
        let [least, most] = [all().fold(1.0, f32::min), all().fold(-1.0, f32::max)];
        assert!((-0.0501..-0.047).contains(&least), "{least}");
        assert!((0.097..0.1001).contains(&most), "{most}");
    }

    #[test]
    fn refuses_factors_beyond_the_image() {
        for (layer, reason) in [
            (
                RandomRotation::new(1.5),
                "its factor is 1.5; give a number in -1..=1, or two, the smaller one first",
            ),
            (
                RandomRotation::new((0.2, -0.1)),
                "its factor is 0.2 to -0.1; give a number in -1..=1, or two, the smaller one first",
            ),
            (
                RandomRotation::new(0.1).fill_value(f64::NAN),
                "its fill_value is NaN; it is a finite number",
            ),
        ] {
            let who = "random_rotation: cannot take an input of shape (4, 4, 1):";
            check::refuses(layer, &[[4, 4, 1].into()], &format!("{who} {reason}"));
        }
    }
}
