//! The labels that `fit` and `evaluate` take, and how much each sample counts.

use std::fmt;

use ndarray::{ArrayBase, Data, Dimension};

use crate::arrays::Element;
use crate::samples::{Column, IntoSamples};

/// Labels with a weight for each sample: what the loss of the sample is multiplied by. Keras:
/// `sample_weight`.
///
/// They go wherever labels do: to `fit`, `evaluate`, `train_on_batch` and as `validation_data`. As in
/// Keras 3 the loss is divided by the number of samples, not by the sum of the weights, and metrics
/// count all samples alike.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(1);
/// let model = Model::new(&x, x.apply(Activation::Linear)?)?;
/// let mut model = model.compile(SGD::default(), MeanSquaredError, [MeanSquaredError]);
/// let (x, y) = (array![[1.0], [2.0]], array![[0.0], [0.0]]);
/// let logs = model.evaluate(&x, Weighted::new(&y, &array![3.0, 0.5]))?;
/// assert_eq!(logs["loss"], (3.0 * 1.0 + 0.5 * 4.0) / 2.0);
/// assert_eq!(logs["mean_squared_error"], 2.5);
/// # Ok::<(), convnet::Error>(())
/// ```
pub struct Weighted<'a, Y> {
    labels: Y,
    sample_weight: Column<'a>,
}

impl<'a, Y> Weighted<'a, Y> {
    /// Labels, and an array of shape `(n)` with the weight of each sample.
    pub fn new<A, S, D>(labels: Y, sample_weight: &'a ArrayBase<S, D>) -> Self
    where
        A: Element,
        S: Data<Elem = A>,
        D: Dimension,
    {
        Self { labels, sample_weight: Column::array(sample_weight.view()) }
    }
}

impl<Y> fmt::Debug for Weighted<'_, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weighted({:?})", self.sample_weight)
    }
}

/// What `fit` and `evaluate` take as labels: whatever is [`IntoSamples`], or that [`Weighted`].
pub trait IntoLabels<'a> {
    /// The labels of each output, and the weights of the samples.
    fn into_labels(self) -> Labels<'a>;
}

/// The labels of each output, and the weight of each sample if they have any.
pub(crate) type Labels<'a> = (Vec<Column<'a>>, Option<Column<'a>>);

impl<'a, Y: IntoSamples<'a>> IntoLabels<'a> for Y {
    fn into_labels(self) -> Labels<'a> {
        (self.into_samples(), None)
    }
}

impl<'a, Y: IntoSamples<'a>> IntoLabels<'a> for Weighted<'a, Y> {
    fn into_labels(self) -> Labels<'a> {
        (self.labels.into_samples(), Some(self.sample_weight))
    }
}
