//! What large weights cost.

use serde::{Deserialize, Serialize};

/// What a weight adds to the loss, so that it stays small. Keras: `L1`, `L2`, `L1L2`.
///
/// The penalty of all weights together is part of the loss that training shows and makes small, and
/// of that of `evaluate`; what each output adds in a model with several is without it.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(2);
/// let head = Dense::new(2).activation(Softmax).kernel_regularizer(L2(0.1));
/// let mut model = Model::new(&x, x.apply(head)?)?;
/// model.set_weight("dense/kernel", &array![[1.0, 1.0], [2.0, 2.0]])?;
/// let mut model = model.compile(SGD::default(), SparseCategoricalCrossentropy, ());
/// // Both classes are as probable; 0.1 · (1 + 1 + 4 + 4) comes on top.
/// let logs = model.evaluate(&array![[1.0, 1.0]], &array![0])?;
/// assert!((logs["loss"] - (2.0_f64.ln() + 1.0)).abs() < 1e-6);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Regularizer {
    /// This times the sum of the absolute weights.
    L1(f32),
    /// This times the sum of the squared weights.
    L2(f32),
    /// Both.
    L1L2 {
        /// Times the sum of the absolute weights.
        l1: f32,
        /// Times the sum of the squared weights.
        l2: f32,
    },
}

impl Regularizer {
    /// What the absolute weights are multiplied by, and what the squared ones.
    pub(crate) fn factors(self) -> [f32; 2] {
        match self {
            Self::L1(l1) => [l1, 0.0],
            Self::L2(l2) => [0.0, l2],
            Self::L1L2 { l1, l2 } => [l1, l2],
        }
    }

    /// What makes no sense in it, as the end of a sentence that begins with the weight.
    pub(crate) fn check(self) -> Result<(), String> {
        match self.factors().into_iter().find(|factor| !(0.0..=f32::MAX).contains(factor)) {
            Some(factor) => Err(format!(
                "is regularised by a factor of {factor}; it must be at least 0 and finite"
            )),
            None => Ok(()),
        }
    }
}
