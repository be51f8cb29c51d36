use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Backward, Infer, Lanes, Layer, single};
use crate::kernels::simd::level;
use crate::kernels::{activation, channels, softmax};
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
}

impl Activation {
    /// Adds the bias of each channel to rows of `c` numbers, none if it is empty, and applies the
    /// function, in place.
    pub(super) fn with_bias(self, y: &mut [f32], bias: &[f32], c: usize) {
        match (self, bias) {
            (_, []) => self.apply_to(y, c),
            (Self::Relu, _) => channels::add_bias_relu(level(), y, bias),
            _ => {
                channels::add_bias(level(), y, bias);
                self.apply_to(y, c);
            }
        }
    }

    /// Applies the function to rows of `c` numbers, in place.
    pub(super) fn apply_to(self, y: &mut [f32], c: usize) {
        match self {
            Self::Linear => {}
            Self::Relu => activation::relu(level(), y),
            Self::Softmax => softmax::softmax(level(), y, c),
            Self::Tanh => activation::tanh(level(), y),
            Self::Sigmoid => activation::sigmoid(level(), y),
        }
    }

    /// Turns the gradient to the output `y` into the gradient to the input, in place.
    pub(super) fn gradient(self, y: &[f32], dy: &mut [f32], c: usize) {
        match self {
            Self::Linear => {}
            Self::Relu => activation::relu_backward(level(), y, dy),
            Self::Softmax => softmax::softmax_backward(level(), y, dy, c),
            Self::Tanh => activation::tanh_backward(level(), y, dy),
            Self::Sigmoid => activation::sigmoid_backward(level(), y, dy),
        }
    }
}

/// The size of the last axis: what softmax goes over.
pub(super) fn last(shape: &Shape) -> usize {
    shape.last().copied().unwrap_or(1)
}

impl Layer for Activation {
    fn class_name(&self) -> &'static str {
        "Activation"
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

    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
        self.apply_to(pass.y, last(pass.x.shape(0)));
    }

    fn backward(&self, mut pass: Backward<'_>) {
        self.gradient(pass.y, pass.dy, last(pass.x.shape(0)));
        if let Some(dx) = pass.dx.get(0) {
            dx.copy_from_slice(pass.dy);
        }
    }

    fn without_activation(&self) -> Option<(Activation, Arc<dyn Layer>)> {
        Some((*self, Arc::new(Activation::Linear)))
    }
}
