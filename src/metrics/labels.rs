//! Reading the class of each sample out of labels or rows of scores.

use ndarray::{ArrayRef, ArrayViewD, Axis, Dimension};

use crate::words::counted;
use crate::{Error, Result};

/// A confusion matrix of this many classes takes 128 MiB; a label beyond it is an id or a pixel
/// taken for a label, and must not allocate the memory of the machine.
const MAX_CLASSES: usize = 4096;

/// The number types in which labels, one-hot rows and probabilities may be stored.
pub trait Label: Copy {
    /// The same number as an `f64`; digits that are lost beyond 2⁵³ belong to no label.
    fn to_f64(self) -> f64;
}

macro_rules! label {
    ($($number:ty)*) => {$(
        impl Label for $number {
            fn to_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}

label!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64);

/// What is true and what was predicted for each sample; every label is below `classes`.
#[derive(Debug)]
pub(super) struct Pairs {
    pub(super) truth: Vec<usize>,
    pub(super) predicted: Vec<usize>,
    /// The width of the rows; of labels alone, one more than the highest.
    pub(super) classes: usize,
}

impl Pairs {
    /// Reads both sides; `who` begins the sentence of an error.
    pub(super) fn read<A: Label, B: Label>(
        who: &str,
        truth: &ArrayRef<A, impl Dimension>,
        predicted: &ArrayRef<B, impl Dimension>,
    ) -> Result<Self> {
        let refuse = |why: String| Error::data(format!("{who}: {why}"));
        let (truth, width) = read("truth", truth, one_hot).map_err(refuse)?;
        let (predicted, predicted_width) = read("predicted", predicted, arg_max).map_err(refuse)?;
        if truth.len() != predicted.len() {
            return Err(refuse(format!(
                "truth has {}, predicted has {}; hand in one prediction for each sample",
                counted(truth.len(), "sample"),
                predicted.len()
            )));
        }

        let highest = truth.iter().chain(&predicted).max().map_or(0, |&label| label);
        let classes = width.or(predicted_width).unwrap_or(highest + 1);
        if predicted_width.is_some_and(|width| width != classes) || highest >= classes {
            let side = |width: Option<usize>, labels: &[usize]| match width {
                Some(width) => counted(width, "class"),
                None => format!("labels up to {}", labels.iter().max().unwrap_or(&0)),
            };
            return Err(refuse(format!(
                "truth has {}, predicted has {}; hand in both over the same classes",
                side(width, &truth),
                side(predicted_width, &predicted)
            )));
        }
        Ok(Self { truth, predicted, classes })
    }

    /// Truth and prediction of each sample.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize)> {
        self.truth.iter().copied().zip(self.predicted.iter().copied())
    }
}

/// The labels of one side, and the number of its classes if it consists of rows.
fn read<A: Label>(
    side: &str,
    array: &ArrayRef<A, impl Dimension>,
    label_of_row: fn(&[f64]) -> Result<usize, &'static str>,
) -> Result<(Vec<usize>, Option<usize>), String> {
    match *array.shape() {
        [0] | [0, _] => Err(format!("{side} is empty; hand in at least one sample")),
        [_] => {
            let label = |(i, value): (usize, &A)| match value.to_f64() {
                v if v >= 0.0 && v < MAX_CLASSES as f64 && v.fract() == 0.0 => Ok(v as usize),
                v => Err(format!(
                    "{side} holds {v} for sample {i}; a label is a whole number from 0 to {}",
                    MAX_CLASSES - 1
                )),
            };
            Ok((array.iter().enumerate().map(label).collect::<Result<_, _>>()?, None))
        }
        [_, classes @ 2..=MAX_CLASSES] => {
            let mut scores = Vec::with_capacity(classes);
            let label = |(i, row): (usize, ArrayViewD<A>)| {
                scores.clear();
                scores.extend(row.iter().map(|score| score.to_f64()));
                label_of_row(&scores).map_err(|why| format!("{side} of sample {i} {why}"))
            };
            let rows = array.view().into_dyn();
            let rows = rows.axis_iter(Axis(0)).enumerate();
            Ok((rows.map(label).collect::<Result<_, _>>()?, Some(classes)))
        }
        [n, 1] => Err(format!(
            "{side} has the shape ({n}, 1); hand in labels ({n}): remove_axis(Axis(1)), of probabilities \
             after mapv(|p| u8::from(p > 0.5))"
        )),
        ref shape => Err(format!(
            "{side} has the shape ({}); hand in labels (n) or rows of scores (n, classes) with 2 to \
             {MAX_CLASSES} classes",
            shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn one_hot(row: &[f64]) -> Result<usize, &'static str> {
    let one = row.iter().position(|&entry| entry == 1.0);
    match one {
        Some(one) if row.iter().enumerate().all(|(i, &entry)| i == one || entry == 0.0) => Ok(one),
        _ => Err("is not one-hot; hand in rows with a single 1 among zeros, or labels"),
    }
}

fn arg_max(row: &[f64]) -> Result<usize, &'static str> {
    if row.iter().any(|score| score.is_nan()) {
        return Err("holds NaN; the model that made it has diverged");
    }
    let mut best = 0;
    for (i, score) in row.iter().enumerate() {
        if *score > row[best] {
            best = i;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, Array3, ArrayD, Axis, array};

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn every_number_type_and_shape_reads_the_same() {
        let labels = [2usize, 0, 1];
        let rows: Array2<f32> = array![[0., 0., 1.], [1., 0., 0.], [0., 1., 0.]];
        let same = |pairs: Result<Pairs>| {
            let pairs = pairs.unwrap();
            assert_eq!((&pairs.truth[..], &pairs.predicted[..]), (&labels[..], &labels[..]));
            assert_eq!(pairs.classes, 3);
        };
        let dynamic: ArrayD<f32> = rows.clone().into_dyn();
        same(Pairs::read("x", &rows, &dynamic));
        same(Pairs::read("x", &dynamic, &rows.view()));
        same(Pairs::read("x", &array![2u8, 0, 1], &array![2usize, 0, 1]));
        same(Pairs::read("x", &array![2i32, 0, 1], &array![2i64, 0, 1]));
        same(Pairs::read("x", &array![2f32, 0., 1.], &rows));
        same(Pairs::read("x", &rows.mapv(|x| x as u8), &array![2u8, 0, 1].into_dyn()));
        // Strided views: every second column of a wider array, samples backwards.
        let wide = ndarray::concatenate![Axis(1), rows.view().reversed_axes(), rows.view()];
        same(Pairs::read("x", &rows, &wide.slice(ndarray::s![.., 3..])));
        same(Pairs::read("x", &array![1u8, 0, 2].slice(ndarray::s![..;-1]), &rows));
    }

    #[test]
    fn a_tie_goes_to_the_first() {
        let scores = array![[0.2f32, 0.4, 0.4], [-3.0, -3.0, -9.0], [-1.0 / 0.0, 0.0, 1.0 / 0.0]];
        assert_eq!(Pairs::read("x", &array![0, 0, 0], &scores).unwrap().predicted, [1, 0, 2]);
    }

    #[test]
    fn rows_decide_the_number_of_classes() {
        let rows = array![[1.0f32, 0.0, 0.0, 0.0]];
        assert_eq!(Pairs::read("x", &array![0u8], &rows).unwrap().classes, 4);
        assert_eq!(Pairs::read("x", &rows, &array![2u8]).unwrap().classes, 4);
        assert_eq!(Pairs::read("x", &array![0u8], &array![2u8]).unwrap().classes, 3);
    }

    #[track_caller]
    fn refuses<A: Label, B: Label>(
        truth: &ArrayRef<A, impl Dimension>,
        predicted: &ArrayRef<B, impl Dimension>,
        why: &str,
    ) {
        let error = Pairs::read("x", truth, predicted).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let expected = format!("x: {why}");
        assert!(error.to_string().starts_with(&expected), "{error}\nwanted: {expected}");
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let one = array![0u8];
        let rows = array![[1.0f32, 0.0]];
        refuses(&array![0, 1, 1], &array![0, 1], "truth has 3 samples, predicted has 2;");
        refuses(&Array1::<u8>::zeros(0), &one, "truth is empty");
        refuses(&one, &Array2::<f32>::zeros((0, 10)), "predicted is empty");
        refuses(&one, &Array2::<f32>::zeros((1, 0)), "predicted has the shape (1, 0);");
        refuses(
            &one,
            &array![[0.7f32]],
            "predicted has the shape (1, 1); hand in labels (1): remove",
        );
        refuses(&Array3::<f32>::zeros((1, 2, 2)), &one, "truth has the shape (1, 2, 2);");
        refuses(&ndarray::arr0(1), &one, "truth has the shape ();");
        refuses(&array![[0.3f32, 0.7]], &one, "truth of sample 0 is not one-hot;");
        refuses(&array![[1u8, 0], [1, 1]], &one, "truth of sample 1 is not one-hot;");
        refuses(&array![[1u8, 0], [0, 0]], &one, "truth of sample 1 is not one-hot;");
        refuses(&one, &array![[0.0, f32::NAN]], "predicted of sample 0 holds NaN;");
        refuses(&array![0.5f32], &one, "truth holds 0.5 for sample 0;");
        refuses(&one, &array![f32::NAN], "predicted holds NaN for sample 0;");
        refuses(&array![0, -1], &one, "truth holds -1 for sample 1;");
        refuses(&one, &array![4_000_000_000i64], "predicted holds 4000000000 for sample 0;");
        refuses(&one, &array![4096], "predicted holds 4096 for sample 0;");
        refuses(&rows, &array![2u8], "truth has 2 classes, predicted has labels up to 2;");
        refuses(&array![2u8], &rows, "truth has labels up to 2, predicted has 2 classes;");
        refuses(&array![[1u8, 0, 0]], &rows, "truth has 3 classes, predicted has 2 classes;");
    }
}
