//! Metrics that `fit` and `evaluate` follow batch by batch.

use std::fmt;

/// A number that tells how good predictions are.
pub trait Metric: fmt::Debug + Send + Sync {
    /// Its key in the logs and the history, as Keras': `accuracy`.
    fn name(&self) -> String;

    /// A tally that has seen no sample yet.
    fn tally(&self) -> Box<dyn Tally>;

    /// Whether larger is better: what `EarlyStopping` watches for.
    fn larger_is_better(&self) -> bool {
        true
    }
}

/// A metric over the batches seen so far.
pub trait Tally: Send {
    /// Takes in a batch: rows of `classes` outputs, and the targets: one-hot rows, or one label a
    /// row.
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize);

    /// The value over all batches.
    fn result(&self) -> f64;
}

/// The metrics given to `compile`: an array of one kind, a `Vec` of boxed ones of several kinds, or
/// `()` for none.
pub trait IntoMetrics {
    /// The metrics, boxed.
    fn into_metrics(self) -> Vec<Box<dyn Metric>>;
}

impl<M: Metric + 'static, const N: usize> IntoMetrics for [M; N] {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self.into_iter().map(|metric| Box::new(metric) as Box<dyn Metric>).collect()
    }
}

impl IntoMetrics for Vec<Box<dyn Metric>> {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        self
    }
}

impl IntoMetrics for () {
    fn into_metrics(self) -> Vec<Box<dyn Metric>> {
        Vec::new()
    }
}
