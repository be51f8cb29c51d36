//! How weights start.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::random::generator;
use crate::shape::Shape;

/// How a weight starts, with Keras' names. The random ones are drawn from the model's seed.
///
/// `fan_in` and `fan_out` are the number of inputs and outputs of a unit: for a kernel
/// `(kh, kw, in, out)` they are `kh·kw·in` and `kh·kw·out`.
///
/// ```
/// use convnet::prelude::*;
///
/// let layer = Conv2D::new(6, 5).kernel_initializer(Initializer::HeNormal);
/// assert!(Input::new([28, 28, 1]).apply(layer).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All the same number.
    Constant(f32),
    /// Uniform in ±√(6 / (fan_in + fan_out)) (Glorot & Bengio 2010).
    GlorotUniform,
    /// Normal with variance 2 / (fan_in + fan_out), cut off at two standard deviations.
    GlorotNormal,
    /// Uniform in ±√(6 / fan_in) (He et al. 2015).
    HeUniform,
    /// Normal with variance 2 / fan_in, cut off at two standard deviations.
    HeNormal,
}

/// The standard deviation of a standard normal cut off at ±2: what a cut normal is divided by so
/// that its variance is the one wanted.
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// Fills a weight of this shape.
    pub(crate) fn fill(self, shape: &Shape, seed: u64, weight: &mut [f32]) {
        let (fan_in, fan_out) = fans(shape);
        match self {
            Self::Zeros => weight.fill(0.0),
            Self::Ones => weight.fill(1.0),
            Self::Constant(value) => weight.fill(value),
            Self::GlorotUniform => uniform((6.0 / (fan_in + fan_out)).sqrt(), seed, weight),
            Self::HeUniform => uniform((6.0 / fan_in).sqrt(), seed, weight),
            Self::GlorotNormal => normal((2.0 / (fan_in + fan_out)).sqrt(), seed, weight),
            Self::HeNormal => normal((2.0 / fan_in).sqrt(), seed, weight),
        }
    }
}

/// Inputs and outputs of a unit, at least 1 each.
fn fans(shape: &Shape) -> (f64, f64) {
    let (fan_in, fan_out) = match **shape {
        [] => (1, 1),
        [n] => (n, n),
        [ref window @ .., inputs, outputs] => {
            let window: usize = window.iter().product();
            (window * inputs, window * outputs)
        }
    };
    (fan_in.max(1) as f64, fan_out.max(1) as f64)
}

fn uniform(limit: f64, seed: u64, weight: &mut [f32]) {
    let mut random = generator(seed);
    weight.fill_with(|| ((2.0 * random.random::<f64>() - 1.0) * limit) as f32);
}

/// Normal numbers (Box & Muller 1958), those beyond two deviations drawn anew.
fn normal(deviation: f64, seed: u64, weight: &mut [f32]) {
    let mut random = generator(seed);
    let scale = deviation / TRUNCATED_DEVIATION;
    weight.fill_with(|| {
        loop {
            let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
            let z = radius * (std::f64::consts::TAU * random.random::<f64>()).cos();
            if z.abs() <= 2.0 {
                return (z * scale) as f32;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(initializer: Initializer, shape: impl Into<Shape>) -> Vec<f32> {
        let shape = shape.into();
        let mut weight = vec![f32::NAN; shape.size()];
        initializer.fill(&shape, 7, &mut weight);
        weight
    }

    #[test]
    fn uniform_limits_of_lenet_are_keras() {
        for (shape, limit) in [
            (Shape::from([5, 5, 1, 6]), 0.185164),
            ([5, 5, 6, 16].into(), 0.104447),
            ([400, 120].into(), 0.107417),
            ([84, 10].into(), 0.252646),
        ] {
            let weight = drawn(Initializer::GlorotUniform, shape);
            let largest = weight.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            assert!(largest <= limit && largest > 0.95 * limit, "{largest} {limit}");
        }
    }

    #[test]
    fn normals_have_their_variance_and_are_cut_at_two_deviations() {
        let weight = drawn(Initializer::HeNormal, [200, 500]);
        let deviation = (2.0f64 / 200.0).sqrt();
        let variance = weight.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / 1e5;
        assert!((variance.sqrt() / deviation - 1.0).abs() < 0.01, "{}", variance.sqrt());
        let cut = 2.0 * deviation / TRUNCATED_DEVIATION;
        assert!(weight.iter().all(|&w| f64::from(w).abs() <= cut * 1.000_001));
        let mean = weight.iter().map(|&w| f64::from(w)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.001);
    }

    #[test]
    fn constants_and_seeds() {
        assert_eq!(drawn(Initializer::Zeros, 3), [0.0; 3]);
        assert_eq!(drawn(Initializer::Ones, 3), [1.0; 3]);
        assert_eq!(drawn(Initializer::Constant(0.5), 3), [0.5; 3]);
        let drawn_with = |seed| {
            let mut weight = [0.0; 5];
            Initializer::GlorotNormal.fill(&Shape::from(5), seed, &mut weight);
            weight
        };
        assert_eq!(drawn_with(1), drawn_with(1));
        assert_ne!(drawn_with(1), drawn_with(2));
    }
}
