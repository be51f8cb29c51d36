//! How weights start.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::random::{generator, standard_normal};
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
#[serde(deny_unknown_fields)]
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
    /// Uniform in ±√(3 / fan_in) (LeCun et al. 1998).
    LecunUniform,
    /// Normal with variance 1 / fan_in, cut off at two standard deviations.
    LecunNormal,
    /// Uniform between two numbers; Keras has −0.05 and 0.05 where none are given.
    RandomUniform {
        /// The smallest number.
        minval: f32,
        /// The largest number.
        maxval: f32,
    },
    /// Normal; Keras has a mean of 0 and a deviation of 0.05 where none are given.
    RandomNormal {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        stddev: f32,
    },
    /// Normal, with what is further than two deviations from the mean drawn anew. As in Keras the
    /// deviation is that before the cut, here alone; what is left has 0.88 of it.
    TruncatedNormal {
        /// The mean.
        mean: f32,
        /// The standard deviation before the cut.
        stddev: f32,
    },
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
            Self::LecunUniform => uniform((3.0 / fan_in).sqrt(), seed, weight),
            Self::GlorotNormal => scaled_normal(2.0 / (fan_in + fan_out), seed, weight),
            Self::HeNormal => scaled_normal(2.0 / fan_in, seed, weight),
            Self::LecunNormal => scaled_normal(1.0 / fan_in, seed, weight),
            Self::RandomUniform { minval, maxval } => {
                let mut random = generator(seed);
                weight.fill_with(|| minval + (maxval - minval) * random.random::<f32>());
            }
            Self::RandomNormal { mean, stddev } => {
                normal([mean, stddev].map(f64::from), f64::INFINITY, seed, weight);
            }
            Self::TruncatedNormal { mean, stddev } => {
                normal([mean, stddev].map(f64::from), 2.0, seed, weight);
            }
        }
    }

    /// What makes no sense in it, as the end of a sentence that begins with the weight.
    pub(crate) fn check(self) -> Result<(), String> {
        match self {
            Self::Constant(value) if !value.is_finite() => {
                Err(format!("starts as {value}; give a finite number"))
            }
            Self::RandomUniform { minval, maxval }
                if !(maxval - minval).is_finite() || minval > maxval =>
            {
                Err(format!(
                    "is drawn between {minval} and {maxval}; give finite numbers, the smaller one first"
                ))
            }
            Self::RandomNormal { mean, stddev } | Self::TruncatedNormal { mean, stddev }
                if !mean.is_finite() || !(0.0..=f32::MAX).contains(&stddev) =>
            {
                Err(format!(
                    "is drawn with a mean of {mean} and a stddev of {stddev}; give finite numbers, \
                     the stddev at least 0"
                ))
            }
            _ => Ok(()),
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

/// Normal numbers around 0, cut at two deviations, with this variance after the cut.
fn scaled_normal(variance: f64, seed: u64, weight: &mut [f32]) {
    normal([0.0, variance.sqrt() / TRUNCATED_DEVIATION], 2.0, seed, weight);
}

/// Normal numbers, those beyond so many deviations drawn anew.
fn normal([mean, deviation]: [f64; 2], cut: f64, seed: u64, weight: &mut [f32]) {
    let mut random = generator(seed);
    weight.fill_with(|| {
        loop {
            let z = standard_normal(&mut random);
            if z.abs() <= cut {
                return (mean + z * deviation) as f32;
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

    /// Mean and standard deviation.
    fn moments(weight: &[f32]) -> [f64; 2] {
        let n = weight.len() as f64;
        let mean = weight.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
        let square = weight.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / n;
        [mean, square.sqrt()]
    }

    #[test]
    fn normals_have_their_variance_and_are_cut_at_two_deviations() {
        let half = TRUNCATED_DEVIATION as f32 * 0.5;
        for (initializer, [mean, deviation], cut) in [
            (Initializer::HeNormal, [0.0, (2.0f64 / 200.0).sqrt()], 2.0 / TRUNCATED_DEVIATION),
            (Initializer::LecunNormal, [0.0, (1.0f64 / 200.0).sqrt()], 2.0 / TRUNCATED_DEVIATION),
            (Initializer::GlorotNormal, [0.0, (2.0f64 / 700.0).sqrt()], 2.0 / TRUNCATED_DEVIATION),
            (
                Initializer::TruncatedNormal { mean: 3.0, stddev: 0.5 },
                [3.0, half.into()],
                2.0 / TRUNCATED_DEVIATION,
            ),
            (Initializer::RandomNormal { mean: -1.0, stddev: 0.05 }, [-1.0, 0.05], f64::INFINITY),
        ] {
            let weight = drawn(initializer, [200, 500]);
            let [found_mean, found] = moments(&weight);
            assert!((found / deviation - 1.0).abs() < 0.01, "{initializer:?} {found}");
            assert!((found_mean - mean).abs() < 0.01 * deviation, "{initializer:?} {found_mean}");
            let furthest = weight.iter().map(|&w| (f64::from(w) - mean).abs()).fold(0.0, f64::max);
            let most = (cut * deviation).min(5.0 * deviation);
            assert!(furthest <= most * 1.000_001 && furthest > 0.8 * most, "{initializer:?}");
        }
    }

    #[test]
    fn uniform_numbers_fill_their_range() {
        for (initializer, [low, high]) in [
            (Initializer::LecunUniform, [-(3.0f32 / 200.0).sqrt(), (3.0f32 / 200.0).sqrt()]),
            (Initializer::HeUniform, [-(6.0f32 / 200.0).sqrt(), (6.0f32 / 200.0).sqrt()]),
            (Initializer::RandomUniform { minval: 1.0, maxval: 1.5 }, [1.0, 1.5]),
        ] {
            let weight = drawn(initializer, [200, 500]);
            let [least, most] =
                [f32::min, f32::max].map(|f| weight.iter().copied().reduce(f).unwrap());
            let slack = 1e-4 * (high - low);
            assert!(least >= low && least < low + slack, "{initializer:?} {least}");
            assert!(most <= high && most > high - slack, "{initializer:?} {most}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |initializer: Initializer, sentence: &str| {
            assert_eq!(initializer.check().unwrap_err(), sentence);
        };
        refused(Initializer::Constant(f32::NAN), "starts as NaN; give a finite number");
        refused(
            Initializer::RandomUniform { minval: 1.0, maxval: 0.5 },
            "is drawn between 1 and 0.5; give finite numbers, the smaller one first",
        );
        refused(
            Initializer::TruncatedNormal { mean: 0.0, stddev: -0.1 },
            "is drawn with a mean of 0 and a stddev of -0.1; give finite numbers, the stddev at \
             least 0",
        );
        assert!(Initializer::RandomNormal { mean: 1.0, stddev: 0.0 }.check().is_ok());
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
