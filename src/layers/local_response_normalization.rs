use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, last, single};
use crate::kernels::local_response::LocalResponse;
use crate::kernels::simd::level;
use crate::shape::Shape;

/// Divides every number by a power of what its neighbours among the channels weigh:
/// `y = x / (k + alpha · Σ x²)^beta`, where the sum goes over `n` channels with this one in the middle, as
/// far as there are any (Krizhevsky, Sutskever & Hinton 2012, section 3.3). Not in Keras.
///
/// The shape stays: `(n, …, c)`. Defaults and the meaning of `alpha` are the paper's: the sum is not
/// divided by `n`. Others mean something else by the same names:
///
/// | convention                                  | factor of `Σ x²` | the paper's numbers in it                              |
/// |---------------------------------------------|------------------|--------------------------------------------------------|
/// | the paper, and this layer                   | `alpha`          | `n=5, k=2, alpha=1e-4, beta=0.75`                      |
/// | `tf.nn.local_response_normalization`        | `alpha`          | `depth_radius=2, bias=2, alpha=1e-4, beta=0.75`        |
/// | PyTorch's `LocalResponseNorm`, ONNX's `LRN` | `alpha/size`     | `size=5, k=2, alpha=5e-4, beta=0.75`                   |
///
/// # Errors
/// `apply` refuses an even `n`, a `k` that is not positive, and an `alpha` or `beta` that is negative.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([55, 55, 96]);
/// assert_eq!(image.apply(LocalResponseNormalization::new())?.shape(), image.shape());
/// assert!(image.apply(LocalResponseNormalization::new().n(4)).is_err());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalResponseNormalization {
    pub(crate) n: usize,
    pub(crate) k: f64,
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
}

impl LocalResponseNormalization {
    /// Over 5 channels, with `k` 2, `alpha` 0.0001 and `beta` 0.75.
    pub fn new() -> Self {
        Self { n: 5, k: 2.0, alpha: 1e-4, beta: 0.75 }
    }

    /// How many channels the sum goes over; 5. TensorFlow's `depth_radius` is half of it, rounded
    /// down.
    pub fn n(self, n: usize) -> Self {
        Self { n, ..self }
    }

    /// What the sum is added to; 2. TensorFlow calls it `bias`.
    pub fn k(self, k: f64) -> Self {
        Self { k, ..self }
    }

    /// What the sum of squares is multiplied by; 0.0001. PyTorch's is `n` times as much.
    pub fn alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// The power; 0.75.
    pub fn beta(self, beta: f64) -> Self {
        Self { beta, ..self }
    }

    fn kernel(&self, channels: usize, across: usize) -> LocalResponse {
        let [k, alpha, beta] = [self.k, self.alpha, self.beta].map(|number| number as f32);
        LocalResponse { channels, across, radius: (self.n / 2).min(channels - 1), k, alpha, beta }
    }
}

impl Default for LocalResponseNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for LocalResponseNormalization {
    fn class_name(&self) -> &'static str {
        "LocalResponseNormalization"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = single(inputs)?;
        if input.is_empty() {
            return Err("it wants at least one axis".to_string());
        }
        if self.n.is_multiple_of(2) {
            return Err(format!(
                "its n is {}; it is an odd number, as many channels before as behind",
                self.n
            ));
        }
        if !(self.k as f32 > 0.0 && (self.k as f32).is_finite()) {
            return Err(format!("its k is {}; it is a positive number", self.k));
        }
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(value >= 0.0 && (value as f32).is_finite()) {
                return Err(format!("its {name} is {value}; it is a number from 0 up"));
            }
        }
        Ok(input.clone())
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        let kernel = self.kernel(last(pass.x.shape(0)), pass.layout.across());
        kernel.forward(level(), pass.x.get(0), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let kernel = self.kernel(last(pass.x.shape(0)), pass.layout.across());
        if let Some(dx) = pass.dx.get(0) {
            kernel.backward(level(), pass.x.get(0), pass.dy, dx);
        }
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        let Self { n, k, alpha, beta } = self;
        Details::default().setting(format!("n {n}, k {k}, alpha {alpha}, beta {beta}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        let strong = || LocalResponseNormalization::new().alpha(0.5);
        check::laws(LocalResponseNormalization::new, &[[3, 2, 7].into()]);
        check::laws(strong, &[[2, 3, 7].into()]);
        check::laws(|| strong().n(3).beta(0.5).k(1.0), &[[2, 2, 5].into()]);
        check::laws(|| strong().n(1).beta(1.3), &[[4].into()]);
        check::laws(|| strong().n(99), &[[2, 3].into()]);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let layer = LocalResponseNormalization::new;
        for (layer, reason) in [
            (layer().n(4), "its n is 4; it is an odd number, as many channels before as behind"),
            (layer().k(0.0), "its k is 0; it is a positive number"),
            (layer().alpha(-1.0), "its alpha is -1; it is a number from 0 up"),
            (layer().beta(f64::NAN), "its beta is NaN; it is a number from 0 up"),
        ] {
            let who = "local_response_normalization: cannot take an input of shape (2):";
            check::refuses(layer, &[[2].into()], &format!("{who} {reason}"));
        }
    }
}
