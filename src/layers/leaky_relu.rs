use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, single};
use crate::kernels::activation::{self, Function};
use crate::kernels::simd::level;
use crate::shape::Shape;

/// `x` where that is positive, else `negative_slope · x` (Maas et al. 2013). Keras: `LeakyReLU`.
///
/// # Errors
/// `apply` refuses a slope that is negative or not finite.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(3);
/// let model = Model::new(&x, x.apply(LeakyReLU::new().negative_slope(0.5))?)?;
/// assert_eq!(model.predict(&array![[-1.0, 0.0, 2.0]])?, array![[-0.5, 0.0, 2.0]].into_dyn());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakyReLU {
    pub(crate) negative_slope: f64,
}

impl LeakyReLU {
    /// With a slope of 0.3.
    pub fn new() -> Self {
        Self { negative_slope: 0.3 }
    }

    /// By how much negative values are scaled; 0.3.
    pub fn negative_slope(self, negative_slope: f64) -> Self {
        Self { negative_slope }
    }

    fn function(&self) -> Function {
        let slope = self.negative_slope as f32;
        Function::Rectify { threshold: 0.0, slope, most: f32::INFINITY }
    }
}

impl Default for LeakyReLU {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for LeakyReLU {
    fn class_name(&self) -> &'static str {
        "LeakyReLU"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if !(self.negative_slope >= 0.0 && (self.negative_slope as f32).is_finite()) {
            return Err(format!(
                "its negative_slope is {}; it is a number from 0 up",
                self.negative_slope
            ));
        }
        single(inputs).cloned()
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        activation::apply_to(level(), self.function(), pass.x.get(0), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            activation::gradient_to(level(), self.function(), pass.x.get(0), pass.dy, dx);
        }
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        Details::default().setting(format!("negative_slope {}", self.negative_slope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(LeakyReLU::new, &[[3, 2, 2].into()]);
    }

    #[test]
    fn refuses_a_slope_that_is_negative_or_infinite() {
        let sentence = "leaky_re_lu: cannot take an input of shape (2): its negative_slope is -1; it is \
                        a number from 0 up";
        check::refuses(LeakyReLU::new().negative_slope(-1.0), &[[2].into()], sentence);
        let sentence = "leaky_re_lu: cannot take an input of shape (2): its negative_slope is";
        check::refuses(LeakyReLU::new().negative_slope(1e39), &[[2].into()], sentence);
    }
}
