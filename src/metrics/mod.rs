//! Metrics: those that `fit` follows, one file each, and scores of finished predictions.

mod accuracy;
mod metric;

pub use accuracy::Accuracy;
pub use metric::{IntoMetrics, Metric, Tally};
