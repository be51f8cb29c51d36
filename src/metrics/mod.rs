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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::MeanSquaredError;

    #[test]
    fn a_tally_goes_on_from_the_numbers_of_another() {
        let metrics: [Box<dyn Metric>; 9] = [
            Box::new(Accuracy),
            Box::new(AUC::new()),
            Box::new(AUC::new().multi_label(true)),
            Box::new(BinaryAccuracy::new()),
            Box::new(F1Score::new()),
            Box::new(MeanSquaredError),
            Box::new(Precision::new()),
            Box::new(Recall::new()),
            Box::new(TopKCategoricalAccuracy::new().k(1)),
        ];
        // All right, then all wrong.
        let first = ([0.9, 0.05, 0.05, 0.1, 0.8, 0.1], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        let second = ([0.9, 0.05, 0.05, 0.1, 0.2, 0.7], [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
        for metric in metrics {
            let tally = || metric.tally(&3.into());
            let (mut through, mut begun, mut resumed) = (tally(), tally(), tally());
            through.add(&first.0, &first.1, 3);
            begun.add(&first.0, &first.1, 3);
            let mut numbers = Vec::new();
            assert!(begun.each_number(&mut |number| numbers.push(*number)));
            let mut kept = numbers.into_iter();
            assert!(resumed.each_number(&mut |number| *number = kept.next().unwrap()));
            through.add(&second.0, &second.1, 3);
            resumed.add(&second.0, &second.1, 3);
            for number in 0..metric.numbers(&3.into()) {
                assert_eq!(resumed.result(number), through.result(number), "{metric:?}");
            }
        }
    }

    #[test]
    fn a_metric_under_another_name_is_the_same_otherwise() {
        assert!(Accuracy.larger_is_better() && Accuracy.named("a").larger_is_better());
        assert!(!MeanSquaredError.larger_is_better());
        assert!(!MeanSquaredError.named("m").larger_is_better());
        assert_eq!(F1Score::new().named("f").numbers(&3.into()), 3);
        let why = "class_id is 4, the output has 4 classes; they are counted from 0".to_string();
        assert_eq!(Precision::new().class_id(4).named("p").check(&4.into()), Err(why));
    }

    #[test]
    fn a_tally_that_does_not_show_its_numbers_says_so() {
        struct Secret;
        impl Tally for Secret {
            fn add(&mut self, _: &[f32], _: &[f32], _: usize) {}

            fn result(&self, _: usize) -> f64 {
                0.0
            }
        }
        assert!(!Secret.each_number(&mut |_| ()));
    }
}
