use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Activation, Backward, Config, Details, Infer, Lanes, Layer, config_of, single};
use crate::kernels::activation::{self, Function};
use crate::kernels::simd::level;
use crate::shape::Shape;

/// `x`, but at most `max_value`, where that is above a threshold, else
/// `negative_slope · (x − threshold)`. Keras: `ReLU`.
///
/// Without settings it is [`Activation::Relu`](super::Activation::Relu).
///
/// # Errors
/// `apply` refuses settings that are negative or not finite.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(4);
/// let model = Model::new(&x, x.apply(ReLU::new().max_value(6.0).negative_slope(0.1))?)?;
/// let y = model.predict(&array![[-10.0, 0.0, 2.0, 9.0]])?;
/// assert_eq!(y, array![[-1.0, 0.0, 2.0, 6.0]].into_dyn());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReLU {
    pub(crate) max_value: Option<f64>,
    pub(crate) negative_slope: f64,
    pub(crate) threshold: f64,
}

impl ReLU {
    /// No largest value, and 0 up to a threshold of 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest value of the output; none.
    pub fn max_value(self, max_value: f64) -> Self {
        Self { max_value: Some(max_value), ..self }
    }

    /// By how much values below the threshold are scaled; 0.
    pub fn negative_slope(self, negative_slope: f64) -> Self {
        Self { negative_slope, ..self }
    }

    /// From where on values pass; 0.
    pub fn threshold(self, threshold: f64) -> Self {
        Self { threshold, ..self }
    }

    fn function(&self) -> Function {
        Function::Rectify {
            threshold: self.threshold as f32,
            slope: self.negative_slope as f32,
            most: self.max_value.map_or(f32::INFINITY, |most| most as f32),
        }
    }
}

impl Layer for ReLU {
    fn class_name(&self) -> &'static str {
        "ReLU"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        for (name, value) in [
            ("max_value", self.max_value.unwrap_or(0.0)),
            ("negative_slope", self.negative_slope),
            ("threshold", self.threshold),
        ] {
            if !(value >= 0.0 && (value as f32).is_finite()) {
                return Err(format!("its {name} is {value}; it is a number from 0 up"));
            }
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

    fn without_activation(&self) -> Option<(Activation, Arc<dyn Layer>)> {
        let linear = || (Activation::Relu, Arc::new(Activation::Linear) as Arc<dyn Layer>);
        (*self == Self::new()).then(linear)
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        let max_value = self.max_value.map(|max_value| ("max_value", max_value));
        let others = [("negative_slope", self.negative_slope), ("threshold", self.threshold)];
        let set = others.into_iter().filter(|&(_, value)| value != 0.0);
        let settings = max_value.into_iter().chain(set);
        settings.fold(Details::default(), |details, (name, value)| {
            details.setting(format!("{name} {value}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(|| ReLU::new().negative_slope(0.3), &[[3, 2, 2].into()]);
        check::laws(|| ReLU::new().max_value(0.45), &[[6].into()]);
        check::laws(|| ReLU::new().negative_slope(1.0).threshold(0.31), &[[6].into()]);
    }

    #[test]
    fn tells_what_was_set() {
        let settings = |layer: ReLU| layer.details(&[2.into()]).settings;
        assert!(settings(ReLU::new()).is_empty());
        let layer = ReLU::new().threshold(1.0).negative_slope(0.1).max_value(0.0);
        assert_eq!(settings(layer), ["max_value 0", "negative_slope 0.1", "threshold 1"]);
    }

    #[test]
    fn refuses_negative_settings() {
        for (layer, reason) in [
            (ReLU::new().max_value(-1.0), "its max_value is -1; it is a number from 0 up"),
            (
                ReLU::new().negative_slope(-0.1),
                "its negative_slope is -0.1; it is a number from 0 up",
            ),
            (ReLU::new().threshold(f64::NAN), "its threshold is NaN; it is a number from 0 up"),
            // More than an `f32` holds.
            (
                ReLU::new().negative_slope(1e39),
                "its negative_slope is 1000000000000000000000000000000000000000; it is a number from 0 up",
            ),
        ] {
            let who = "re_lu: cannot take an input of shape (2):";
            check::refuses(layer, &[[2].into()], &format!("{who} {reason}"));
        }
    }
}
