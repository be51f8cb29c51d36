//! What the layers share that shift or turn each image at random in training.

use std::fmt;

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::{Backward, Details, FillMode, Forward, Inputs, Interpolation, image};
use crate::kernels::affine::{Affine, Transform};
use crate::random::{derive, generator};

/// Between which two numbers one is drawn.
///
/// ```
/// use convnet::layers::Bounds;
///
/// assert_eq!(Bounds::from(0.1), Bounds::Number(0.1));
/// assert_eq!(Bounds::from((0.0, 0.3)), Bounds::Pair(0.0, 0.3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bounds {
    /// Between `−f` and `f`; between 0 and `f` for a layer that takes nothing below 0.
    Number(f64),
    /// Between these, the smaller one first.
    Pair(f64, f64),
}

impl From<f64> for Bounds {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<(f64, f64)> for Bounds {
    fn from((lower, upper): (f64, f64)) -> Self {
        Self::Pair(lower, upper)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Pair(lower, upper) => write!(f, "{lower} to {upper}"),
        }
    }
}

impl Bounds {
    /// Refuses what is not in order or outside these limits.
    pub(super) fn check(self, name: &str, [least, most]: [f64; 2]) -> Result<(), String> {
        let (lower, upper) = match self {
            Self::Number(number) => (number, number),
            Self::Pair(lower, upper) => (lower, upper),
        };
        if least <= lower && lower <= upper && upper <= most {
            return Ok(());
        }
        Err(format!(
            "its {name} is {self}; give a number in {least}..={most}, or two, the smaller one first"
        ))
    }

    /// A number between them, within the limits of the layer.
    pub(super) fn draw(self, [least, _]: [f64; 2], random: &mut Xoshiro256PlusPlus) -> f64 {
        let (lower, upper) = match self {
            Self::Number(number) => (least.max(-number.abs()), number.abs()),
            Self::Pair(lower, upper) => (lower, upper),
        };
        lower + (upper - lower) * random.random::<f64>()
    }
}

/// Refuses what no pixel can be filled with.
pub(super) fn check_fill_value(fill_value: f64) -> Result<(), String> {
    if (fill_value as f32).is_finite() {
        return Ok(());
    }
    Err(format!("its fill_value is {fill_value}; it is a finite number"))
}

/// What is drawn for the `index`th sample of a pass comes from this generator.
pub(super) fn of_sample(seed: u64, index: usize) -> Xoshiro256PlusPlus {
    generator(derive(seed, index as u64))
}

/// How many floats the layers keep for `n` samples: the transforms.
pub(super) fn saved_len(n: usize) -> usize {
    n * size_of::<Transform>() / size_of::<f32>()
}

/// How the images of a pass are seen.
pub(super) fn affine(
    x: &Inputs<'_>,
    interpolation: Interpolation,
    fill_mode: FillMode,
    fill_value: f64,
) -> Affine {
    let image = image(x.shapes()).unwrap_or_else(|why| panic!("images that were accepted: {why}"));
    Affine { image, interpolation, fill_mode, fill_value: fill_value as f32 }
}

/// Draws a transform for every image and leaves it in `saved`.
pub(super) fn forward(
    pass: Forward<'_>,
    affine: Affine,
    draw: impl Fn(&mut Xoshiro256PlusPlus) -> Transform,
) {
    let (transforms, _) = pass.saved.as_chunks_mut();
    for (sample, transform) in transforms.iter_mut().enumerate() {
        *transform = draw(&mut of_sample(pass.seed, sample));
    }
    affine.forward(transforms, pass.x.get(0), pass.y);
}

/// The way back through the same transforms.
pub(super) fn backward(mut pass: Backward<'_>, affine: Affine) {
    if let Some(dx) = pass.dx.get(0) {
        affine.backward(pass.saved.as_chunks().0, pass.dy, dx);
    }
}

/// Details that end with what is seen round the image and between its pixels.
pub(super) fn filled(
    details: Details,
    fill_mode: FillMode,
    fill_value: f64,
    interpolation: Interpolation,
) -> Details {
    let with = if fill_mode == FillMode::Constant {
        format!(", fill_value {fill_value}")
    } else {
        String::new()
    };
    let settings = format!("fill_mode {fill_mode:?}{with}, interpolation {interpolation:?}");
    details.setting(settings.to_lowercase()).setting("in training only")
}
