//! Metrics that `fit` and `evaluate` follow batch by batch.

use std::fmt;

use crate::shape::Shape;

/// A number that tells how good predictions are, or several.
pub trait Metric: fmt::Debug + Send + Sync {
    /// Its key in the logs and the history, as Keras': `accuracy`.
    fn name(&self) -> String;

    /// What makes no sense in it, or for an output of this shape, as the end of a sentence.
    fn check(&self, _output: &Shape) -> Result<(), String> {
        Ok(())
    }

    /// How many numbers it gives for an output of this shape. Several have a key each, counted from 0:
    /// `f1_score_0`.
    fn numbers(&self, _output: &Shape) -> usize {
        1
    }

    /// A tally that has seen no sample yet, for an output of this shape.
    fn tally(&self, output: &Shape) -> Box<dyn Tally>;

    /// Whether larger is better: what `EarlyStopping` watches for.
    fn larger_is_better(&self) -> bool {
        true
    }

    /// The metric under a name of your own, so that there can be two of a kind.
    ///
    /// ```
    /// use convnet::metrics::{Metric, Precision};
    ///
    /// let precision = Precision::new().class_id(3).named("precision_of_dresses");
    /// assert_eq!(precision.name(), "precision_of_dresses");
    /// ```
    fn named(self, name: impl Into<String>) -> Named<Self>
    where
        Self: Sized,
    {
        Named { name: name.into(), metric: self }
    }
}

/// A metric over the batches seen so far.
pub trait Tally: Send {
    /// Takes in a batch: rows of `classes` outputs, and the targets: rows as wide, or one label a
    /// row.
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize);

    /// The value over all batches of the metric's `number`th number, counted from 0.
    fn result(&self, number: usize) -> f64;

    /// Shows every number it keeps to `f`, which may change it: that is how a backup in the middle of
    /// an epoch reads them, and puts them back. `false`, as without a word of the tally, refuses such a
    /// backup.
    fn each_number(&mut self, _f: &mut dyn FnMut(&mut f64)) -> bool {
        false
    }
}

/// Shows counts to `f` as [`Tally::each_number`] does.
pub(super) fn each_count<'c>(
    counts: impl IntoIterator<Item = &'c mut u64>,
    f: &mut dyn FnMut(&mut f64),
) -> bool {
    /// Up to here all whole numbers are told apart.
    const MOST: f64 = (1u64 << 53) as f64;
    for count in counts {
        let mut number = *count as f64;
        f(&mut number);
        *count = number.min(MOST) as u64;
    }
    true
}

/// A metric under another name; [`Metric::named`] makes it.
#[derive(Clone, Debug)]
pub struct Named<M> {
    name: String,
    metric: M,
}

impl<M: Metric> Metric for Named<M> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn check(&self, output: &Shape) -> Result<(), String> {
        self.metric.check(output)
    }

    fn numbers(&self, output: &Shape) -> usize {
        self.metric.numbers(output)
    }

    fn tally(&self, output: &Shape) -> Box<dyn Tally> {
        self.metric.tally(output)
    }

    fn larger_is_better(&self) -> bool {
        self.metric.larger_is_better()
    }
}

/// A metric with the name of the output that it looks at, if it is not all of them.
pub type OutputMetric = (Option<String>, Box<dyn Metric>);

/// The metrics given to `compile`: a tuple of several kinds, an array of one, a `Vec` of boxed ones,
/// or `()` for none. Each looks at all outputs; a pair of an output's name and a metric looks at one.
///
/// ```
/// use convnet::metrics::{Accuracy, AUC, IntoMetrics, Recall};
///
/// assert_eq!((Accuracy, Recall::new(), AUC::new()).into_metrics().len(), 3);
/// let (output, metric) = [("label", Accuracy)].into_metrics().remove(0);
/// assert_eq!((output.as_deref(), metric.name().as_str()), (Some("label"), "accuracy"));
/// ```
pub trait IntoMetrics {
    /// The metrics, boxed.
    fn into_metrics(self) -> Vec<OutputMetric>;
}

/// A metric, or a pair of an output's name and a metric.
pub trait IntoMetric {
    /// The output's name, and the metric.
    fn into_metric(self) -> OutputMetric;
}

impl<M: Metric + 'static> IntoMetric for M {
    fn into_metric(self) -> OutputMetric {
        (None, Box::new(self))
    }
}

impl<M: Metric + 'static> IntoMetric for (&str, M) {
    fn into_metric(self) -> OutputMetric {
        (Some(self.0.to_string()), Box::new(self.1))
    }
}

impl<M: IntoMetric, const N: usize> IntoMetrics for [M; N] {
    fn into_metrics(self) -> Vec<OutputMetric> {
        self.into_iter().map(M::into_metric).collect()
    }
}

impl IntoMetrics for Vec<Box<dyn Metric>> {
    fn into_metrics(self) -> Vec<OutputMetric> {
        self.into_iter().map(|metric| (None, metric)).collect()
    }
}

macro_rules! tuples {
    ($($metrics:ident)*) => {
        impl<$($metrics: IntoMetric),*> IntoMetrics for ($($metrics,)*) {
            fn into_metrics(self) -> Vec<OutputMetric> {
                #[allow(non_snake_case)]
                let ($($metrics,)*) = self;
                vec![$($metrics.into_metric()),*]
            }
        }
    };
}
tuples!();
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
