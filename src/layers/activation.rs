use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, last, single};
use crate::kernels::activation::{self, Function};
use crate::kernels::elementwise::each;
use crate::kernels::simd::level;
use crate::kernels::{channels, softmax};
use crate::shape::Shape;

/// A function of every element, or for softmax of every row of the last axis. Used as the
/// `activation` of another layer, or as a layer of its own. Keras: `Activation`.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(3);
/// let model = Model::new(&x, x.apply(Activation::Relu)?)?;
/// assert_eq!(model.predict(&array![[-1.0, 0.0, 2.0]])?, array![[0.0, 0.0, 2.0]].into_dyn());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x`
    #[default]
    Linear,
    /// `max(x, 0)`
    Relu,
    /// `exp(x) / Σ exp(x)` over the last axis
    Softmax,
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(−x))`
    Sigmoid,
    /// `x` where that is positive, else `0.2 · x`, as Keras' `leaky_relu`; the layer
    /// [`LeakyReLU`](super::LeakyReLU) has other slopes
    LeakyRelu,
    /// `max(x, 0)`, and 6 where that is more
    Relu6,
    /// `x` where that is positive, else `exp(x) − 1` (Clevert et al. 2016)
    Elu,
    /// `x · Φ(x)`, where `Φ` is the normal distribution (Hendrycks & Gimpel 2016): Keras'
    /// `gelu`
    Gelu,
    /// `x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`: Keras' `gelu` with `approximate=True`
    GeluApproximate,
    /// `x / (1 + exp(−x))`, also called swish (Ramachandran et al. 2017)
    #[serde(alias = "swish")]
    Silu,
}

impl Activation {
    /// What is computed of every element, for all but `Linear` and `Softmax`.
    fn function(self) -> Option<Function> {
        Some(match self {
            Self::Linear | Self::Softmax => return None,
            Self::Relu => Function::Relu,
            Self::Tanh => Function::Tanh,
            Self::Sigmoid => Function::Sigmoid,
            Self::LeakyRelu => {
                Function::Rectify { threshold: 0.0, slope: 0.2, most: f32::INFINITY }
            }
            Self::Relu6 => Function::Rectify { threshold: 0.0, slope: 0.0, most: 6.0 },
            Self::Elu => Function::Elu,
            Self::Gelu => Function::Gelu,
            Self::GeluApproximate => Function::GeluByTanh,
            Self::Silu => Function::Silu,
        })
    }

    /// How many floats `apply` leaves for `gradient` beside the output, which has so many.
    pub(super) fn saved_len(self, floats: usize) -> usize {
        match self.function() {
            Some(function) if !function.slope_of_value() => floats,
            _ => 0,
        }
    }

    /// Adds the bias of each channel to rows of `c` numbers, none if it is empty, and applies the
    /// function, in place. Leaves in `saved` what `gradient` needs; in inference that is empty.
    pub(super) fn with_bias(self, y: &mut [f32], bias: &[f32], saved: &mut [f32], c: usize) {
        match (self, bias) {
            (_, []) => self.apply_to(y, saved, c),
            (Self::Relu, _) => channels::add_bias_relu(level(), y, bias),
            _ => {
                channels::add_bias(level(), y, bias);
                self.apply_to(y, saved, c);
            }
        }
    }

    /// Applies the function to rows of `c` numbers, in place, with `saved` as above.
    pub(super) fn apply_to(self, y: &mut [f32], saved: &mut [f32], c: usize) {
        if !saved.is_empty() {
            saved.copy_from_slice(y);
        }
        match self.function() {
            Some(function) => activation::apply(level(), function, y),
            None if self == Self::Softmax => softmax::softmax(level(), y, c),
            None => {}
        }
    }

    /// Turns the gradient to the output `y` into the gradient to the input, in place.
    pub(super) fn gradient(self, y: &[f32], saved: &[f32], dy: &mut [f32], c: usize) {
        match self.function() {
            Some(function) => {
                let from = if function.slope_of_value() { y } else { saved };
                activation::gradient(level(), function, from, dy);
            }
            None if self == Self::Softmax => softmax::softmax_backward(level(), y, dy, c),
            None => {}
        }
    }
}

impl Layer for Activation {
    fn class_name(&self) -> &'static str {
        "Activation"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        single(inputs).cloned()
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        if *self == Self::Softmax { Lanes::Never } else { Lanes::Either }
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn is_identity(&self) -> bool {
        *self == Self::Linear
    }

    fn infer(&self, pass: Infer<'_>) {
        let x = pass.x.get(0);
        match self.function() {
            Some(function) => activation::apply_to(level(), function, x, pass.y),
            None => {
                each(pass.y, x, |y, x| *y = x);
                self.apply_to(pass.y, &mut [], last(pass.x.shape(0)));
            }
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let Some(dx) = pass.dx.get(0) else { return };
        let x = pass.x.get(0);
        match self.function() {
            Some(function) => {
                let from = if function.slope_of_value() { pass.y } else { x };
                activation::gradient_to(level(), function, from, pass.dy, dx);
            }
            None => {
                each(dx, pass.dy, |dx, dy| *dx = dy);
                self.gradient(pass.y, x, dx, last(pass.x.shape(0)));
            }
        }
    }

    fn without_activation(&self) -> Option<(Activation, Arc<dyn Layer>)> {
        Some((*self, Arc::new(Activation::Linear)))
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        Details::default().activation(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Conv2D, Dense, DepthwiseConv2D, SeparableConv2D, check};

    #[test]
    fn obey_the_laws_alone_and_in_other_layers() {
        use Activation::*;
        for activation in
            [Linear, Softmax, Tanh, Sigmoid, LeakyRelu, Relu6, Elu, Gelu, GeluApproximate, Silu]
        {
            check::laws(|| activation, &[[3, 2, 5].into()]);
            check::laws(|| Dense::new(4).activation(activation), &[[5].into()]);
            check::laws(|| Conv2D::new(3, 2).activation(activation), &[[3, 4, 2].into()]);
        }
    }

    #[test]
    fn a_layer_without_its_activation_is_the_same_but_for_that() {
        let softmax = Activation::Softmax;
        let layers: [Box<dyn Layer>; 4] = [
            Box::new(Conv2D::new(3, 2).strides(2).activation(softmax)),
            Box::new(Dense::new(4).use_bias(false).activation(softmax)),
            Box::new(DepthwiseConv2D::new(2).strides(2).activation(softmax)),
            Box::new(SeparableConv2D::new(3, 2).strides(2).activation(softmax)),
        ];
        for layer in layers {
            let (activation, without) = layer.without_activation().unwrap();
            assert_eq!(activation, softmax);
            let mut config = layer.config().unwrap();
            config["activation"] = Activation::Linear.config().unwrap();
            assert_eq!(without.config().unwrap(), config);
        }
    }
}
