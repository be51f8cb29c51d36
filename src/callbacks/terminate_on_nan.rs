use super::{Callback, Training, say};
use crate::error::Result;

/// Ends training as if it had been stopped when a loss becomes NaN or infinite. Keras:
/// `TerminateOnNaN`.
///
/// Without it such a loss ends `fit` with an error, which most programs want; here, unlike in Keras,
/// training never goes on with it. With it `fit` returns the history, in which the loss of the last
/// epoch is not finite; the epoch is validated and ends as others do. In either case the weights are
/// those before the batch.
///
/// ```
/// # use convnet::prelude::*;
/// # use ndarray::{Array1, Array2};
/// # let input = Input::new(2);
/// # let output = input.apply(Dense::new(2).activation(Softmax))?;
/// # let model = Model::new(&input, &output)?;
/// # let mut model = model.compile(SGD::new(1e38), SparseCategoricalCrossentropy, ());
/// # let (x, y) = (Array2::<f32>::ones((8, 2)) * 1e3, Array1::from_shape_fn(8, |i| (i % 2) as u8));
/// let fit = Fit::new().epochs(9).batch_size(8).verbose(Verbose::Silent);
/// let history = model.fit(&x, &y, fit.callback(TerminateOnNaN::new()))?;
/// assert_eq!(history.epoch, [0, 1]);
/// assert!(history.history["loss"][1].is_nan());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminateOnNaN {
    verbose: bool,
}

impl TerminateOnNaN {
    /// Says nothing when it ends a training.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to print which batch ended training; `false`.
    pub fn verbose(self, verbose: bool) -> Self {
        Self { verbose }
    }
}

impl Callback for TerminateOnNaN {
    fn on_invalid_loss(
        &mut self,
        batch: usize,
        loss: f64,
        _training: &mut Training<'_>,
    ) -> Result<bool> {
        if self.verbose {
            say(&format!("Batch {batch}: the loss is {loss}; training ends"));
        }
        Ok(true)
    }
}
