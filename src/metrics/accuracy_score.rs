use ndarray::{ArrayRef, Dimension};

use super::{Label, labels::Pairs};
use crate::Result;

/// The fraction of samples whose predicted class is the true one, from 0 to 1.
///
/// Scikit-learn's `accuracy_score`. What may be handed in, and what is refused, is said in
/// [`metrics`](crate::metrics).
///
/// ```
/// use convnet::metrics::accuracy_score;
/// use ndarray::array;
///
/// let predicted = array![[0.1_f32, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]];
/// assert_eq!(accuracy_score(&array![1, 0, 0, 0], &predicted)?, 0.75);
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn accuracy_score<A: Label, B: Label>(
    truth: &ArrayRef<A, impl Dimension>,
    predicted: &ArrayRef<B, impl Dimension>,
) -> Result<f64> {
    let pairs = Pairs::read("accuracy_score", truth, predicted)?;
    let right = pairs.iter().filter(|(truth, predicted)| truth == predicted).count();
    Ok(right as f64 / pairs.truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn counts_the_right_ones() {
        assert_eq!(accuracy_score(&array![0, 1, 2], &array![0, 1, 2]).unwrap(), 1.0);
        assert_eq!(accuracy_score(&array![0, 1, 2], &array![1, 2, 0]).unwrap(), 0.0);
        assert_eq!(accuracy_score(&array![0, 1, 2], &array![0, 1, 1]).unwrap(), 2.0 / 3.0);
    }

    #[test]
    fn says_who_refused() {
        let error = accuracy_score(&array![0, 1], &array![0]).unwrap_err();
        assert!(error.to_string().starts_with("accuracy_score: truth has 2 samples"), "{error}");
    }
}
