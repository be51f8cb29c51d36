use std::sync::Arc;

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::random_transform::{Bounds, of_sample};
use super::{
    Activation, Backward, Config, Details, Forward, Infer, Layer, Layout, config_of, image,
};
use crate::random::standard_normal;
use crate::shape::Shape;

/// In training, erases a rectangle of each image with some probability; in inference does nothing
/// (Zhong et al. 2020). Keras: `RandomErasing`.
///
/// The rectangle's height and width are the roots of two numbers from `scale`, in parts of the image's.
/// What is drawn depends on the seed of `fit`, the epoch, the batch, the layer and the sample alone.
///
/// # Errors
/// `apply` refuses inputs that are not images, a factor or scale outside `0..=1`, and a range of values
/// that is not finite or not in order.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([32, 32, 3]);
/// let layer = RandomErasing::new().factor((0.5, 0.5)).value_range((0.0, 1.0));
/// assert_eq!(image.apply(layer)?.shape(), image.shape());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomErasing {
    factor: Bounds,
    scale: Bounds,
    fill_value: Option<f64>,
    value_range: (f64, f64),
}

/// Between which numbers probabilities and parts of an image lie.
const LIMITS: [f64; 2] = [0.0, 1.0];

impl RandomErasing {
    /// With a factor of 1, a scale of 0.02 to 0.33, noise, and values in 0 to 255.
    pub fn new() -> Self {
        Self {
            factor: 1.0.into(),
            scale: (0.02, 0.33).into(),
            fill_value: None,
            value_range: (0.0, 255.0),
        }
    }

    /// With which probability an image loses a rectangle: it is itself drawn for each image, between two
    /// numbers or, as in Keras, from 0 to a number; 1, so that every second image is spared.
    /// `(1.0, 1.0)` spares none.
    pub fn factor(self, factor: impl Into<Bounds>) -> Self {
        Self { factor: factor.into(), ..self }
    }

    /// Which part of the image a rectangle covers, about: between two numbers, or from 0 to a number;
    /// `(0.02, 0.33)`.
    pub fn scale(self, scale: impl Into<Bounds>) -> Self {
        Self { scale: scale.into(), ..self }
    }

    /// What stands in the rectangle; without it, noise: normal with mean 0 and the upper end of
    /// `value_range` as deviation, cut off at both ends of that.
    pub fn fill_value(self, fill_value: f64) -> Self {
        Self { fill_value: Some(fill_value), ..self }
    }

    /// Between which values pixels lie; `(0, 255)`.
    pub fn value_range(self, value_range: (f64, f64)) -> Self {
        Self { value_range, ..self }
    }

    /// The rectangle `[top, bottom, left, right]`, in whole pixels; an empty one for an image that is
    /// spared.
    fn rectangle(&self, [h, w, _]: [usize; 3], random: &mut Xoshiro256PlusPlus) -> [f32; 4] {
        let [down, along] = [0, 1].map(|_| {
            let part = self.scale.draw(LIMITS, random).sqrt();
            let start = random.random::<f64>() * (1.0 - part);
            (start, start + part)
        });
        let erased = random.random::<f64>() < self.factor.draw(LIMITS, random);
        // A pixel belongs to it if its upper left corner lies in it.
        let pixels = |(start, end): (f64, f64), size: usize| {
            [start, end].map(|at| (at * size as f64).ceil() as f32)
        };
        let ([top, bottom], [left, right]) = (pixels(down, h), pixels(along, w));
        if erased { [top, bottom, left, right] } else { [0.0; 4] }
    }

    fn fill(&self, random: &mut Xoshiro256PlusPlus) -> f32 {
        let (lower, upper) = self.value_range;
        let value = self.fill_value.unwrap_or_else(|| standard_normal(random) * upper);
        value.clamp(lower, upper) as f32
    }
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self::new()
    }
}

/// Calls `f` with each row of the rectangle in an image of `w` pixels a row with `c` channels.
fn each_row(
    image: &mut [f32],
    [_, w, c]: [usize; 3],
    rectangle: &[f32; 4],
    mut f: impl FnMut(&mut [f32]),
) {
    let [top, bottom, left, right] = rectangle.map(|at| at as usize);
    for row in top..bottom {
        f(&mut image[(row * w + left) * c..(row * w + right) * c]);
    }
}

impl Layer for RandomErasing {
    fn class_name(&self) -> &'static str {
        "RandomErasing"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        self.factor.check("factor", LIMITS)?;
        self.scale.check("scale", LIMITS)?;
        let (lower, upper) = self.value_range;
        if !([lower, upper].iter().all(|&end| (end as f32).is_finite()) && lower <= upper) {
            return Err(format!(
                "its value_range is {lower} to {upper}; both are finite, the smaller one first"
            ));
        }
        if let Some(fill_value) = self.fill_value
            && !(lower..=upper).contains(&fill_value)
        {
            return Err(format!(
                "its fill_value is {fill_value}, its value_range {lower} to {upper}; give a value in \
                 that range, or leave it out for noise"
            ));
        }
        image(inputs).map(Shape::from)
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    /// The rectangles.
    fn saved_len(&self, _inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        4 * n
    }

    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
    }

    fn forward(&self, pass: Forward<'_>) {
        let size @ [h, w, c] = pass.x.shape(0).dims().expect("an image");
        pass.y.copy_from_slice(pass.x.get(0));
        let images = pass.y.chunks_exact_mut(h * w * c).zip(pass.saved.as_chunks_mut().0);
        for (sample, (y, rectangle)) in images.enumerate() {
            let mut random = of_sample(pass.seed, sample);
            *rectangle = self.rectangle(size, &mut random);
            each_row(y, size, rectangle, |row| row.fill_with(|| self.fill(&mut random)));
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let size @ [h, w, c] = pass.x.shape(0).dims().expect("an image");
        if let Some(dx) = pass.dx.get(0) {
            dx.copy_from_slice(pass.dy);
            let images = dx.chunks_exact_mut(h * w * c).zip(pass.saved.as_chunks().0);
            images.for_each(|(dx, rectangle)| each_row(dx, size, rectangle, |row| row.fill(0.0)));
        }
    }

    fn at_inference(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Activation::Linear))
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        let Self { factor, scale, fill_value, value_range: (lower, upper) } = self;
        let fill_value = fill_value.map_or("noise".to_string(), |value| value.to_string());
        Details::default()
            .setting(format!("factor {factor}, scale {scale}, fill_value {fill_value}"))
            .setting(format!("value_range {lower} to {upper}, in training only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check::{self, Bench};
    use ndarray::ArrayD;

    const N: usize = 400;

    /// Images of −1 with the layer's training pass over them, and for each the erased values.
    fn erased(layer: RandomErasing) -> Vec<Vec<f32>> {
        let mut bench = Bench::new(layer, &[[20, 30, 2].into()], N, Layout::Rows);
        let x = [ArrayD::from_elem(vec![N, 20, 30, 2], -1.0f32)];
        assert_eq!(bench.predict(&x), x[0]);
        let images = bench.forward(&x).chunks(1200);
        images.map(|image| image.iter().copied().filter(|&y| y != -1.0).collect()).collect()
    }

    #[test]
    fn obeys_the_laws() {
        check::laws(|| RandomErasing::new().factor((0.5, 1.0)), &[[5, 4, 2].into()]);
        let most = || RandomErasing::new().factor((1.0, 1.0)).scale((0.3, 0.9));
        check::laws(|| most().fill_value(0.5).value_range((0.0, 1.0)), &[[3, 6, 1].into()]);
    }

    #[test]
    fn erases_as_much_and_as_often_as_it_should() {
        for (factor, often) in [
            (Bounds::from(1.0), 0.5),
            ((1.0, 1.0).into(), 1.0),
            (0.0.into(), 0.0),
            (0.6.into(), 0.3),
        ] {
            let images = erased(RandomErasing::new().factor(factor).fill_value(7.0));
            let count = images.iter().filter(|image| !image.is_empty()).count();
            // Four deviations of so many draws.
            assert!((count as f64 / N as f64 - often).abs() <= 0.1, "{count} of {N}");
            assert!(images.iter().flatten().all(|&y| y == 7.0));
        }
        let images =
            erased(RandomErasing::new().factor((1.0, 1.0)).scale((0.25, 0.25)).fill_value(7.0));
        // Half of the height and of the width: 10 rows of 15 pixels.
        assert!(images.iter().all(|image| image.len() == 300), "{}", images[0].len());
        let images =
            erased(RandomErasing::new().factor((1.0, 1.0)).scale((1.0, 1.0)).fill_value(7.0));
        assert!(images.iter().all(|image| image.len() == 1200));
    }

    #[test]
    fn noise_is_cut_off_at_the_range() {
        let layer = RandomErasing::new().factor((1.0, 1.0)).value_range((0.0, 10.0));
        let values: Vec<f32> = erased(layer).concat();
        let part = |is: fn(f32) -> bool| {
            values.iter().filter(|&&y| is(y)).count() as f64 / values.len() as f64
        };
        assert!(values.iter().all(|y| (0.0..=10.0).contains(y)));
        // Half of a normal distribution is negative, a sixth above its deviation.
        assert!((part(|y| y == 0.0) - 0.5).abs() < 0.01);
        assert!((part(|y| y == 10.0) - 0.1587).abs() < 0.01);
        assert!((part(|y| y > 0.0 && y < 5.0) - 0.1915).abs() < 0.01);
    }

    #[test]
    fn refuses_what_is_no_fraction() {
        let layer = RandomErasing::new;
        for (layer, reason) in [
            (
                layer().factor(-0.5),
                "its factor is -0.5; give a number in 0..=1, or two, the smaller one first",
            ),
            (
                layer().factor((-0.5, 0.5)),
                "its factor is -0.5 to 0.5; give a number in 0..=1, or two, the smaller one first",
            ),
            (
                layer().factor(f64::NAN),
                "its factor is NaN; give a number in 0..=1, or two, the smaller one first",
            ),
            (
                layer().scale((0.9, 0.1)),
                "its scale is 0.9 to 0.1; give a number in 0..=1, or two, the smaller one first",
            ),
            (
                layer().scale(1.5),
                "its scale is 1.5; give a number in 0..=1, or two, the smaller one first",
            ),
            (
                layer().value_range((1.0, 0.0)),
                "its value_range is 1 to 0; both are finite, the smaller one first",
            ),
            (
                layer().value_range((f64::NAN, 1.0)),
                "its value_range is NaN to 1; both are finite, the smaller one first",
            ),
            (
                // Too large for a pixel.
                layer().value_range((0.0, 1e39)),
                "its value_range is 0 to 1000000000000000000000000000000000000000; both are finite, the \
                 smaller one first",
            ),
            (
                layer().fill_value(-1.0),
                "its fill_value is -1, its value_range 0 to 255; give a value in that range, or leave \
                 it out for noise",
            ),
        ] {
            let who = "random_erasing: cannot take an input of shape (4, 4, 1):";
            check::refuses(layer, &[[4, 4, 1].into()], &format!("{who} {reason}"));
        }
    }
}
