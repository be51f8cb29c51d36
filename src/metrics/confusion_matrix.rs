use ndarray::{Array2, ArrayRef, Dimension};

use super::{Label, labels::Pairs};
use crate::Result;

/// How often each true class (row) was predicted as each class (column), shape `(classes, classes)`.
///
/// Scikit-learn's `confusion_matrix` with `labels=range(classes)`: the row and the column of a class
/// that never appears stay, as zeros. The number of classes is the width of the rows handed in or,
/// of labels alone, one more than the highest. What may be handed in, and what is refused, is said
/// in [`metrics`](crate::metrics).
///
/// ```
/// use convnet::metrics::confusion_matrix;
/// use ndarray::array;
///
/// let truth = array![2, 0, 2, 2, 0, 1];
/// let predicted = array![0, 0, 2, 2, 0, 2];
/// assert_eq!(confusion_matrix(&truth, &predicted)?, array![[2, 0, 0], [0, 0, 1], [1, 0, 2]]);
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn confusion_matrix<A: Label, B: Label>(
    truth: &ArrayRef<A, impl Dimension>,
    predicted: &ArrayRef<B, impl Dimension>,
) -> Result<Array2<usize>> {
    let pairs = Pairs::read("confusion_matrix", truth, predicted)?;
    let mut matrix = Array2::zeros((pairs.classes, pairs.classes));
    for pair in pairs.iter() {
        matrix[pair] += 1;
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn absent_classes_keep_their_row_and_column() {
        let truth = array![[1u8, 0, 0, 0], [0, 0, 1, 0]];
        let matrix = confusion_matrix(&truth, &array![2, 2]).unwrap();
        assert_eq!(matrix, array![[0, 0, 1, 0], [0; 4], [0, 0, 1, 0], [0; 4]]);
    }

    #[test]
    fn says_who_refused() {
        let error = confusion_matrix(&array![-1], &array![0]).unwrap_err();
        assert!(error.to_string().starts_with("confusion_matrix: truth holds -1"), "{error}");
    }
}
