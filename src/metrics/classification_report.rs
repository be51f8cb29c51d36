use std::fmt;

use ndarray::{ArrayRef, Dimension};

use super::{Label, labels::Pairs};
use crate::{Error, Result};

/// Precision, recall and F1 of each class, and their averages.
///
/// Scikit-learn's `classification_report` with `zero_division=0`: a score whose denominator is zero
/// (the precision of a class that was never predicted) is 0, and a class that appears neither in the
/// truth nor in the prediction has no row and no part in the averages. What may be handed in, and what
/// is refused, is said in [`metrics`](crate::metrics).
///
/// ```
/// use convnet::metrics::classification_report;
/// use ndarray::array;
///
/// let truth = array![0, 0, 1, 1, 1];
/// let predicted = array![[0.9_f32, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.8, 0.2]];
/// let report = classification_report(&truth, &predicted)?.class_names(["cat", "dog"])?;
/// assert_eq!(report.accuracy, 0.6);
/// assert_eq!(format!("\n{report}"), "
///               precision    recall  f1-score   support
///
///          cat       0.50      0.50      0.50         2
///          dog       0.67      0.67      0.67         3
///
///     accuracy                           0.60         5
///    macro avg       0.58      0.58      0.58         5
/// weighted avg       0.60      0.60      0.60         5
/// ");
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn classification_report<A: Label, B: Label>(
    truth: &ArrayRef<A, impl Dimension>,
    predicted: &ArrayRef<B, impl Dimension>,
) -> Result<ClassificationReport> {
    let pairs = Pairs::read("classification_report", truth, predicted)?;
    let samples = pairs.truth.len();
    let mut counts = vec![Counts::default(); pairs.classes];
    for (truth, predicted) in pairs.iter() {
        counts[truth].support += 1;
        counts[predicted].predicted += 1;
        counts[truth].right += usize::from(truth == predicted);
    }
    let right: usize = counts.iter().map(|class| class.right).sum();
    let classes: Vec<_> = counts.iter().map(Counts::scores).collect();
    Ok(ClassificationReport {
        accuracy: right as f64 / samples as f64,
        macro_avg: average(&classes, samples, |_| 1.0),
        weighted_avg: average(&classes, samples, |class| class.support as f64),
        names: (0..pairs.classes).map(|class| class.to_string()).collect(),
        classes,
    })
}

/// What [`classification_report`] found; prints as the table of scikit-learn.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationReport {
    /// The scores of each class in order; `None` for a class that is neither true nor predicted.
    pub classes: Vec<Option<Scores>>,
    /// The fraction of samples whose predicted class is the true one.
    pub accuracy: f64,
    /// The mean over the classes; its support is the number of samples.
    pub macro_avg: Scores,
    /// The mean over the classes weighted by their support; its support is the number of samples.
    pub weighted_avg: Scores,
    names: Vec<String>,
}

/// The scores of one class, or their average over the classes, each from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// How many of the samples predicted as this class are of it.
    pub precision: f64,
    /// How many of the samples of this class were predicted as it.
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f1_score: f64,
    /// The number of samples that are of this class.
    pub support: usize,
}

impl ClassificationReport {
    /// Prints these names, one for each class in order, instead of 0, 1, 2, …
    ///
    /// # Errors
    /// There are more or fewer names than classes: the width of the rows or, of labels alone, one more
    /// than the highest.
    ///
    /// ```
    /// use convnet::metrics::classification_report;
    /// use ndarray::array;
    ///
    /// let report = classification_report(&array![0, 1], &array![0, 1])?;
    /// let error = report.class_names(["cat", "dog", "bird"]).unwrap_err();
    /// assert!(error.to_string().starts_with("classification_report: got 3 class names for 2 classes"));
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn class_names(self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let [got, wanted] = [names.len(), self.classes.len()];
        if got != wanted {
            return Err(Error::data(format!(
                "classification_report: got {got} class names for {wanted} classes; name each class, \
                 in order"
            )));
        }
        Ok(Self { names, ..self })
    }
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = || self.names.iter().zip(&self.classes).filter_map(|(n, s)| Some((n, (*s)?)));
        let width =
            classes().map(|(name, _)| name.chars().count()).fold("weighted avg".len(), usize::max);
        let row = |f: &mut fmt::Formatter<'_>, name: &str, scores: Scores| {
            let Scores { precision, recall, f1_score, support } = scores;
            writeln!(f, "{name:>width$}  {precision:9.2} {recall:9.2} {f1_score:9.2} {support:9}")
        };

        writeln!(f, "{:width$}  precision    recall  f1-score   support\n", "")?;
        for (name, scores) in classes() {
            row(f, name, scores)?;
        }
        let (accuracy, samples) = (self.accuracy, self.macro_avg.support);
        writeln!(f, "\n{:>width$}  {:19} {accuracy:9.2} {samples:9}", "accuracy", "")?;
        row(f, "macro avg", self.macro_avg)?;
        row(f, "weighted avg", self.weighted_avg)
    }
}

/// How many samples of a class are true, predicted, and both.
#[derive(Clone, Default)]
struct Counts {
    support: usize,
    predicted: usize,
    right: usize,
}

impl Counts {
    fn scores(&self) -> Option<Scores> {
        let Self { support, predicted, right } = *self;
        let ratio = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        (support + predicted > 0).then(|| Scores {
            precision: ratio(right, predicted),
            recall: ratio(right, support),
            f1_score: ratio(2 * right, support + predicted),
            support,
        })
    }
}

fn average(classes: &[Option<Scores>], samples: usize, weight: fn(&Scores) -> f64) -> Scores {
    let sum = |term: &dyn Fn(&Scores) -> f64| {
        pairwise_sum(&classes.iter().flatten().map(term).collect::<Vec<_>>())
    };
    let mean =
        |score: fn(&Scores) -> f64| sum(&|class| score(class) * weight(class)) / sum(&weight);
    Scores {
        precision: mean(|class| class.precision),
        recall: mean(|class| class.recall),
        f1_score: mean(|class| class.f1_score),
        support: samples,
    }
}

/// The sum in NumPy's order: of 4,000 random tables 9 differed by one in the last digit of an average
/// that lies on the brink, such as 0.565, when the terms were added from left to right.
fn pairwise_sum(terms: &[f64]) -> f64 {
    match terms.len() {
        0..8 => terms.iter().sum(),
        8..=128 => {
            let (eights, rest) = terms.as_chunks::<8>();
            let [a, b, c, d, e, f, g, h] = eights
                .iter()
                .fold([0.0; 8], |sum, terms| std::array::from_fn(|i| sum[i] + terms[i]));
            rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, term| sum + term)
        }
        n => {
            let (left, right) = terms.split_at(n / 2 / 8 * 8);
            pairwise_sum(left) + pairwise_sum(right)
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, ArrayD, array};

    use super::*;

    const FASHION: [&str; 10] = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ];

    /// Truth and prediction with this confusion matrix (rows = truth, columns = prediction).
    fn labels(matrix: &Array2<usize>) -> (Array1<usize>, Array1<usize>) {
        let pairs = matrix.indexed_iter().flat_map(|(pair, &count)| vec![pair; count]);
        let (truth, predicted): (Vec<_>, Vec<_>) = pairs.unzip();
        (truth.into(), predicted.into())
    }

    fn report(matrix: &Array2<usize>) -> ClassificationReport {
        let (truth, predicted) = labels(matrix);
        classification_report(&truth, &predicted).unwrap()
    }

    // The tables below are printed by fixtures/classification_report.py.

    #[test]
    fn ten_classes_with_names() {
        let matrix = Array2::from_shape_fn((10, 10), |(i, j)| {
            if i == j { 530 + 47 * i } else { (i * 7 + j * 3) % 11 * (i + 1) / (1 + j % 4) }
        });
        let expected = "
              precision    recall  f1-score   support

 T-shirt/top       0.64      0.97      0.77       546
     Trouser       0.85      0.91      0.88       634
    Pullover       0.90      0.89      0.90       702
       Dress       0.91      0.89      0.90       756
        Coat       0.72      0.84      0.78       850
      Sandal       0.87      0.86      0.87       890
       Shirt       0.91      0.81      0.86      1000
     Sneaker       0.94      0.77      0.85      1119
         Bag       0.78      0.85      0.81      1067
  Ankle boot       0.89      0.74      0.81      1283

    accuracy                           0.84      8847
   macro avg       0.84      0.85      0.84      8847
weighted avg       0.85      0.84      0.84      8847
";
        assert_eq!(format!("\n{}", report(&matrix).class_names(FASHION).unwrap()), expected);
    }

    #[test]
    fn supports_are_right_aligned() {
        let matrix = array![[59000, 1000], [600, 59400]];
        let expected = "
              precision    recall  f1-score   support

           0       0.99      0.98      0.99     60000
           1       0.98      0.99      0.99     60000

    accuracy                           0.99    120000
   macro avg       0.99      0.99      0.99    120000
weighted avg       0.99      0.99      0.99    120000
";
        assert_eq!(format!("\n{}", report(&matrix)), expected);
    }

    #[test]
    fn zero_denominators_give_zero_and_halves_round_to_even() {
        let matrix = array![[1, 7, 0], [0, 0, 0], [1, 0, 0]];
        let expected = "
              precision    recall  f1-score   support

           0       0.50      0.12      0.20         8
           1       0.00      0.00      0.00         0
           2       0.00      0.00      0.00         1

    accuracy                           0.11         9
   macro avg       0.17      0.04      0.07         9
weighted avg       0.44      0.11      0.18         9
";
        assert_eq!(format!("\n{}", report(&matrix)), expected);
    }

    #[test]
    fn a_class_that_appears_nowhere_has_no_row() {
        let matrix = array![[3, 0, 1], [0, 0, 0], [2, 0, 5]];
        let expected = "
              precision    recall  f1-score   support

           0       0.60      0.75      0.67         4
           2       0.83      0.71      0.77         7

    accuracy                           0.73        11
   macro avg       0.72      0.73      0.72        11
weighted avg       0.75      0.73      0.73        11
";
        assert_eq!(format!("\n{}", report(&matrix)), expected);
    }

    #[test]
    fn long_names_widen_the_first_column() {
        let matrix = array![[2, 0, 0], [1, 3, 0], [0, 1, 1]];
        let names = ["cat", "a rather long name of a class", "größe"];
        let expected = "
                               precision    recall  f1-score   support

                          cat       0.67      1.00      0.80         2
a rather long name of a class       0.75      0.75      0.75         4
                        größe       1.00      0.50      0.67         2

                     accuracy                           0.75         8
                    macro avg       0.81      0.75      0.74         8
                 weighted avg       0.79      0.75      0.74         8
";
        assert_eq!(format!("\n{}", report(&matrix).class_names(names).unwrap()), expected);
    }

    #[test]
    fn one_class() {
        let expected = "
              precision    recall  f1-score   support

           0       1.00      1.00      1.00         4

    accuracy                           1.00         4
   macro avg       1.00      1.00      1.00         4
weighted avg       1.00      1.00      1.00         4
";
        assert_eq!(format!("\n{}", report(&array![[4]])), expected);
    }

    #[test]
    fn an_average_on_the_brink_rounds_as_in_numpy() {
        let digits = |text: &str| text.bytes().map(|digit| digit - b'0').collect::<Array1<_>>();
        let truth = "79485298373407256390777103754";
        let predicted = "79385936273457856090573107454";
        let report = classification_report(&digits(truth), &digits(predicted)).unwrap();
        let expected = "macro avg       0.56      0.63      0.58        29";
        assert!(report.to_string().contains(expected), "{report}");
    }

    #[test]
    fn numbers_are_at_hand() {
        let report = report(&array![[3, 0, 1], [0, 0, 0], [2, 0, 5]]);
        let first = Scores { precision: 0.6, recall: 0.75, f1_score: 6.0 / 9.0, support: 4 };
        assert_eq!(report.classes[..2], [Some(first), None]);
        assert_eq!(report.accuracy, 8.0 / 11.0);
        assert_eq!(report.macro_avg.precision, (0.6 + 5.0 / 6.0) / 2.0);
        assert!((report.weighted_avg.recall - report.accuracy).abs() < 1e-15);
        assert_eq!((report.macro_avg.support, report.weighted_avg.support), (11, 11));
    }

    #[test]
    fn rows_of_scores_give_the_table_of_their_labels() {
        let (truth, predicted) = labels(&array![[5, 2, 0], [1, 6, 1], [0, 3, 4]]);
        let one_hot = |labels: &Array1<usize>| {
            Array2::from_shape_fn((labels.len(), 3), |(i, j)| f32::from(labels[i] == j))
        };
        let scores: ArrayD<f32> = (one_hot(&predicted) * 0.4 + 0.2).into_dyn();
        let report = classification_report(&truth, &predicted).unwrap();
        assert_eq!(classification_report(&one_hot(&truth), &scores).unwrap(), report);
    }

    #[test]
    fn every_class_takes_a_name_even_one_without_a_row() {
        let report = classification_report(&array![[1, 0, 0]], &array![0]).unwrap();
        assert!(report.clone().class_names(["cat"]).is_err());
        let report = report.class_names(["cat", "dog", "the longest name of all"]).unwrap();
        assert!(report.to_string().contains("\n         cat       1.00"));
        assert!(!report.to_string().contains("longest"));
    }

    #[test]
    fn says_who_refused() {
        let error = classification_report(&array![0.5f32], &array![0]).unwrap_err();
        assert!(error.to_string().starts_with("classification_report: truth holds 0.5"), "{error}");
    }

    #[test]
    fn many_classes_are_added_up_as_in_numpy() {
        let terms: Vec<f64> = (1..=210).map(|i| 1.0 / f64::from(i)).collect();
        assert_eq!(pairwise_sum(&terms), 5.926702258359493);
    }
}
