//! Arrays as users hand them in, and as the passes read them.

use ndarray::{ArrayBase, ArrayD, ArrayView, CowArray, Data, Dimension, IxDyn};

use crate::error::{Error, Result};
use crate::shape::Shape;

/// A number that an array of images or labels may hold. Everything is computed in `f32`.
pub trait Element: Copy {
    /// The array in `f32` and in row-major order; borrowed where it is that already.
    fn to_f32<D: Dimension>(array: ArrayView<'_, Self, D>) -> CowArray<'_, f32, IxDyn>;
}

impl Element for f32 {
    fn to_f32<D: Dimension>(array: ArrayView<'_, f32, D>) -> CowArray<'_, f32, IxDyn> {
        let array = array.into_dyn();
        if array.is_standard_layout() {
            CowArray::from(array)
        } else {
            CowArray::from(array.as_standard_layout().into_owned())
        }
    }
}

macro_rules! element {
    ($($number:ty),*) => {$(
        impl Element for $number {
            fn to_f32<D: Dimension>(array: ArrayView<'_, Self, D>) -> CowArray<'_, f32, IxDyn> {
                let shape = IxDyn(array.shape());
                let floats = array.iter().map(|&number| number as f32).collect();
                // One float for each element, so the shape fits.
                CowArray::from(ArrayD::from_shape_vec(shape, floats).unwrap_or_default())
            }
        }
    )*};
}
element!(f64, u8, i8, u16, i16, u32, i32, u64, i64, usize);

/// What `fit`, `evaluate` and `predict` take: a reference to an `ndarray` array of any numbers whose
/// first axis counts the samples, or a slice or `Vec` of views for a model with several inputs or
/// outputs.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::{Array2, ArrayView2};
///
/// let (a, b) = (Input::new(3), Input::new(3));
/// let model = Model::new([&a, &b], [&a, &b].apply(Add::new())?)?;
/// let (x, y) = (Array2::<f32>::ones((5, 3)), Array2::<f32>::ones((5, 3)));
/// let sum = model.predict([x.view(), y.view()])?;
/// assert!(sum.iter().all(|&s| s == 2.0));
/// # Ok::<(), convnet::Error>(())
/// ```
pub trait Arrays<'a> {
    /// The arrays in `f32` and in row-major order.
    fn arrays(self) -> Vec<CowArray<'a, f32, IxDyn>>;
}

impl<'a, A: Element, S: Data<Elem = A>, D: Dimension> Arrays<'a> for &'a ArrayBase<S, D> {
    fn arrays(self) -> Vec<CowArray<'a, f32, IxDyn>> {
        vec![A::to_f32(self.view())]
    }
}

impl<'a, A: Element, D: Dimension, const N: usize> Arrays<'a> for [ArrayView<'a, A, D>; N] {
    fn arrays(self) -> Vec<CowArray<'a, f32, IxDyn>> {
        self.into_iter().map(A::to_f32).collect()
    }
}

impl<'a, A: Element, D: Dimension> Arrays<'a> for Vec<ArrayView<'a, A, D>> {
    fn arrays(self) -> Vec<CowArray<'a, f32, IxDyn>> {
        self.into_iter().map(A::to_f32).collect()
    }
}

/// Samples that have been checked: for each input (or output) of a model its floats, row-major.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    pub(crate) n: usize,
    arrays: Vec<(CowArray<'a, f32, IxDyn>, usize)>,
}

impl<'a> Samples<'a> {
    /// Checks arrays against the shapes of one sample. `who` is the method that was called, `what`
    /// the argument, such as `images`.
    pub(crate) fn new<'s>(
        arrays: Vec<CowArray<'a, f32, IxDyn>>,
        shapes: impl IntoIterator<Item = &'s Shape>,
        who: &str,
        what: &str,
    ) -> Result<Self> {
        let shapes: Vec<&Shape> = shapes.into_iter().collect();
        if arrays.len() != shapes.len() {
            return Err(Error::data(format!(
                "{who}: got {} arrays of {what}, wanted {}, one for each of the model's",
                arrays.len(),
                shapes.len()
            )));
        }
        let mut samples = Self {
            n: arrays.first().map_or(0, |a| a.shape().first().map_or(0, |&n| n)),
            arrays: Vec::new(),
        };
        for (array, shape) in arrays.into_iter().zip(shapes) {
            let dims = array.shape();
            if dims.get(1..) != Some(&**shape) {
                return Err(Error::data(format!(
                    "{who}: {what} have the shape {}, the model wants {}; {}",
                    Shape::from(dims),
                    with_count("n", shape),
                    advice(dims, shape)
                )));
            }
            if dims[0] != samples.n {
                return Err(Error::data(format!(
                    "{who}: the arrays of {what} have different lengths, {} and {}; every sample \
                     needs one of each",
                    samples.n, dims[0]
                )));
            }
            if let Some(index) = array.iter().position(|x| !x.is_finite()) {
                let sample = index / shape.size();
                return Err(Error::data(format!(
                    "{who}: {what} hold {} in sample {sample}; mend or remove it",
                    array.iter().nth(index).copied().unwrap_or(f32::NAN)
                )));
            }
            samples.arrays.push((array, shape.size()));
        }
        if samples.n == 0 {
            return Err(Error::data(format!("{who}: {what} are empty; give at least one sample")));
        }
        Ok(samples)
    }

    /// How many floats a sample has in the input (or output) `array`.
    pub(crate) fn size(&self, array: usize) -> usize {
        self.arrays[array].1
    }

    /// The floats of `n` samples from `start` on.
    pub(crate) fn range(&self, array: usize, start: usize, n: usize) -> &[f32] {
        let size = self.size(array);
        &self.floats(array)[start * size..][..n * size]
    }

    /// Copies the samples of these indices, one after the other.
    pub(crate) fn gather(&self, array: usize, indices: &[usize], to: &mut [f32]) {
        let size = self.size(array);
        let floats = self.floats(array);
        for (&index, to) in indices.iter().zip(to.chunks_exact_mut(size)) {
            to.copy_from_slice(&floats[index * size..][..size]);
        }
    }

    /// All floats of the input (or output) `array`.
    pub(crate) fn floats(&self, array: usize) -> &[f32] {
        // Arrays come from `Element::to_f32`, which keeps only row-major ones.
        self.arrays[array].0.as_slice().unwrap_or(&[])
    }
}

fn with_count(n: &str, shape: &Shape) -> String {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("({n}, {})", dims.join(", "))
}

/// The most likely mistake behind a wrong shape.
fn advice(dims: &[usize], shape: &Shape) -> &'static str {
    if dims == &**shape {
        "the first axis counts the samples: use insert_axis(Axis(0)) for a single one"
    } else if dims.len() == shape.len()
        && shape.last() == Some(&1)
        && dims[1..] == shape[..shape.len() - 1]
    {
        "grey images have one channel: use insert_axis with the last axis"
    } else if dims.get(1..).is_some_and(|d| d.iter().product::<usize>() == shape.size()) {
        "the sizes agree: reshape with to_shape or into_shape_with_order"
    } else {
        "change the data or the model's Input"
    }
}
