//! Metrics that `fit` follows, and scores of a finished classifier as in scikit-learn's
//! `sklearn.metrics`.
//!
//! For the scores, truth and prediction are each handed in as either
//!
//! | shape          | what it holds                                                                   |
//! |----------------|---------------------------------------------------------------------------------|
//! | `(n,)`         | labels: whole numbers from 0, in any number type                                |
//! | `(n, classes)` | a row for each sample: one-hot (truth), probabilities or other scores (predicted) |
//!
//! A row of scores predicts the class of its highest score, the first one on a tie.
//!
//! Anything else is refused with an [`ErrorKind::Data`](crate::ErrorKind::Data): no samples, truth and
//! prediction of different lengths or with different numbers of classes, a truth that is not one-hot,
//! NaN, a label that is not a whole number, is negative or is not below the number of classes, and more than
//! 4,096 classes.

mod accuracy;
mod accuracy_score;
mod auc;
mod binary_accuracy;
mod classification_report;
mod confusion_matrix;
mod f1_score;
mod labels;
mod mean_squared_error;
mod metric;
mod positives;
mod precision;
mod recall;
mod top_k_categorical_accuracy;
mod truth;

pub use accuracy::Accuracy;
pub(crate) use accuracy::arg_max;
pub use accuracy_score::accuracy_score;
pub use auc::{AUC, Curve, SummationMethod};
pub use binary_accuracy::BinaryAccuracy;
pub use classification_report::{ClassificationReport, Scores, classification_report};
pub use confusion_matrix::confusion_matrix;
pub use f1_score::{Average, F1Score};
pub use labels::Label;
pub use metric::{IntoMetric, IntoMetrics, Metric, Named, OutputMetric, Tally};
pub use precision::Precision;
pub use recall::Recall;
pub use top_k_categorical_accuracy::TopKCategoricalAccuracy;
