use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Backward, Config, Details, Forward, Infer, Layer, Layout, WeightSpec, config_of, last, single,
};
use crate::initializers::Initializer;
use crate::kernels::activation::{self, Function};
use crate::kernels::buffer::with_scratch;
use crate::kernels::normalise::{normalise, normalise_backward};
use crate::kernels::reductions::{gradient_sums, moments};
use crate::kernels::simd::level;
use crate::shape::Shape;

/// Brings every channel to mean 0 and variance 1, then scales and shifts it:
/// `y = gamma · (x − mean) / √(variance + epsilon) + beta` (Ioffe & Szegedy 2015). Keras:
/// `BatchNormalization`.
///
/// | tensor          | shape       | starts as |
/// |-----------------|-------------|-----------|
/// | input           | `(n, …, c)` |           |
/// | gamma           | `(c)`       | ones      |
/// | beta            | `(c)`       | zeros     |
/// | moving mean     | `(c)`       | zeros     |
/// | moving variance | `(c)`       | ones      |
/// | output          | `(n, …, c)` |           |
///
/// In training, mean and variance are those of the batch, over all axes but the last, and the moving
/// ones follow: `moving = momentum · moving + (1 − momentum) · batch`. In inference the moving ones are
/// used. The variance is divided by the count, also for the moving one, as in Keras 3 (PyTorch
/// divides that one by the count less 1). With momentum 0.99 the moving ones need some hundred steps
/// to forget how they started; evaluation before that is worse than training suggests.
///
/// With `trainable(false)` it works in training as in inference: with the moving statistics, which
/// then stay as they are. So does Keras'.
///
/// # Errors
/// `apply` refuses a momentum outside `0..=1` and an epsilon that is not positive.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 32]);
/// let y = image.apply(BatchNormalization::new().momentum(0.9))?;
/// assert_eq!(Model::new(&image, &y)?.count_params(), 4 * 32);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNormalization {
    momentum: f64,
    pub(crate) epsilon: f64,
    /// Whether ReLU follows, see [`Layer::with_relu_behind`].
    #[serde(skip)]
    relu: bool,
}

impl BatchNormalization {
    /// Momentum 0.99, epsilon 0.001.
    pub fn new() -> Self {
        Self { momentum: 0.99, epsilon: 1e-3, relu: false }
    }

    /// How much of the moving statistics each step keeps; 0.99. PyTorch's momentum is 1 less this.
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// What is added to the variance; 0.001.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    fn inv_std(&self, variance: f32) -> f32 {
        (1.0 / (f64::from(variance) + self.epsilon).sqrt()) as f32
    }
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for BatchNormalization {
    fn class_name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = single(inputs)?;
        if input.is_empty() {
            return Err("it wants at least one axis".to_string());
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(format!("its momentum is {}; it lies in 0..=1", self.momentum));
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(format!("its epsilon is {}; it is a positive number", self.epsilon));
        }
        Ok(input.clone())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let c = last(&inputs[0]);
        vec![
            WeightSpec::trainable("gamma", c, Initializer::Ones),
            WeightSpec::trainable("beta", c, Initializer::Zeros),
            WeightSpec::frozen("moving_mean", c, Initializer::Zeros),
            WeightSpec::frozen("moving_variance", c, Initializer::Ones),
        ]
    }

    /// The batch's mean and `1 / √(variance + epsilon)`.
    fn saved_len(&self, inputs: &[Shape], _n: usize, _layout: Layout) -> usize {
        2 * last(&inputs[0])
    }

    fn infer(&self, pass: Infer<'_>) {
        let (x, gamma, beta) = (pass.x.get(0), pass.w.get(0), pass.w.get(1));
        let (mean, variance) = (pass.state.get(0), pass.state.get(1));
        with_scratch(gamma.len(), |scale| {
            for ((scale, gamma), &variance) in scale.iter_mut().zip(gamma).zip(variance) {
                *scale = gamma * self.inv_std(variance);
            }
            normalise(level(), pass.y, x, [mean, scale, beta], self.relu);
        });
    }

    fn forward(&self, mut pass: Forward<'_>) {
        let (x, gamma, beta) = (pass.x.get(0), pass.w.get(0), pass.w.get(1));
        let c = gamma.len();
        let (mean, inv_std) = pass.saved.split_at_mut(c);
        let [moving_mean, moving_variance] = pass.state.all();
        if !pass.trainable {
            mean.copy_from_slice(moving_mean);
            for (inv_std, &variance) in inv_std.iter_mut().zip(&*moving_variance) {
                *inv_std = self.inv_std(variance);
            }
            return self.infer(pass.as_infer());
        }
        moments(level(), x, mean, inv_std);
        let keep = self.momentum;
        let follow = |moving: &mut f32, batch: f32| {
            *moving = (f64::from(*moving) * keep + f64::from(batch) * (1.0 - keep)) as f32;
        };
        moving_mean.iter_mut().zip(&*mean).for_each(|(moving, &mean)| follow(moving, mean));
        for (moving, variance) in moving_variance.iter_mut().zip(&mut *inv_std) {
            follow(moving, *variance);
            *variance = self.inv_std(*variance);
        }
        with_scratch(c, |scale| {
            products(gamma, inv_std, scale);
            normalise(level(), pass.y, x, [mean, scale, beta], self.relu);
        });
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (x, gamma) = (pass.x.get(0), pass.w.get(0));
        let c = gamma.len();
        let (mean, inv_std) = pass.saved.split_at(c);
        if !pass.trainable {
            let Some(dx) = pass.dx.get(0) else { return };
            if self.relu {
                activation::gradient(level(), Function::Relu, pass.y, pass.dy);
            }
            return with_scratch(2 * c, |scratch| {
                let (zeros, scale) = scratch.split_at_mut(c);
                zeros.fill(0.0);
                products(gamma, inv_std, scale);
                normalise(level(), dx, pass.dy, [zeros, scale, zeros], false);
            });
        }
        let [dgamma, dbeta] = pass.dw.all();
        with_scratch(c, |scale| {
            products(gamma, inv_std, scale);
            let relu = self.relu.then_some([&*scale, pass.w.get(1)]);
            gradient_sums(level(), [pass.dy, x], [mean, inv_std], relu, [dbeta, dgamma]);
        });
        let Some(dx) = pass.dx.get(0) else { return };
        let beta = self.relu.then(|| pass.w.get(1));
        let params = [mean, inv_std, gamma];
        normalise_backward(level(), dx, [pass.dy, x], params, beta, [dbeta, dgamma]);
    }

    fn with_relu_behind(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Self { relu: true, ..*self }))
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        let Self { momentum, epsilon, .. } = self;
        Details::default().setting(format!("momentum {momentum}, epsilon {epsilon}"))
    }
}

fn products(gamma: &[f32], inv_std: &[f32], scale: &mut [f32]) {
    for ((scale, gamma), inv_std) in scale.iter_mut().zip(gamma).zip(inv_std) {
        *scale = gamma * inv_std;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(BatchNormalization::new, &[[4, 3, 2].into()]);
        check::laws(BatchNormalization::new, &[[7].into()]);
        check::laws(|| BatchNormalization::new().epsilon(0.1), &[[5, 1].into()]);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let who = "batch_normalization: cannot take an input of shape (2):";
        let sentence = format!("{who} its momentum is 1.5");
        check::refuses(BatchNormalization::new().momentum(1.5), &[[2].into()], &sentence);
        let sentence = format!("{who} its epsilon is 0");
        check::refuses(BatchNormalization::new().epsilon(0.0), &[[2].into()], &sentence);
    }
}
