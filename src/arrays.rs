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
/// first axis counts the samples, or an array or `Vec` of views for a model with several inputs or
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
    /// Inputs, checked against the shapes the model wants.
    pub(crate) fn inputs<'s>(
        arrays: Vec<CowArray<'a, f32, IxDyn>>,
        shapes: impl IntoIterator<Item = &'s Shape>,
        who: &str,
    ) -> Result<Self> {
        Self::new(arrays, shapes, who, "the inputs", "the model", advice_on_inputs)
    }

    /// Labels, checked against the shapes the loss wants.
    pub(crate) fn labels<'s>(
        arrays: Vec<CowArray<'a, f32, IxDyn>>,
        shapes: impl IntoIterator<Item = &'s Shape>,
        who: &str,
    ) -> Result<Self> {
        Self::new(arrays, shapes, who, "the labels", "the loss", advice_on_labels)
    }

    /// Checks arrays against the shapes of one sample. `who` is the method that was called, `what`
    /// the argument: the inputs or the labels; `wants` is what asks for these shapes, and `advice`
    /// what to do about a wrong one, given the shape found and the one wanted.
    fn new<'s>(
        arrays: Vec<CowArray<'a, f32, IxDyn>>,
        shapes: impl IntoIterator<Item = &'s Shape>,
        who: &str,
        what: &str,
        wants: &str,
        advice: impl Fn(&[usize], &Shape) -> &'static str,
    ) -> Result<Self> {
        let shapes: Vec<&Shape> = shapes.into_iter().collect();
        let count = arrays.len();
        if count != shapes.len() {
            return Err(Error::data(format!(
                "{who}: got {count} array{} as {what}, {wants} wants {}; give an array or \
                 Vec of views, one for each",
                if count == 1 { "" } else { "s" },
                shapes.len()
            )));
        }
        let mut samples = Self {
            n: arrays.first().map_or(0, |a| a.shape().first().map_or(0, |&n| n)),
            arrays: Vec::new(),
        };
        for (i, (array, shape)) in arrays.into_iter().zip(shapes).enumerate() {
            let which =
                if count == 1 { String::new() } else { format!(" (array {} of {count})", i + 1) };
            let dims = array.shape();
            if dims.get(1..) != Some(&**shape) {
                return Err(Error::data(format!(
                    "{who}: {what}{which} have the shape {}, {wants} wants {}; {}",
                    Shape::from(dims),
                    with_count("n", shape),
                    advice(dims, shape)
                )));
            }
            if dims[0] != samples.n {
                return Err(Error::data(format!(
                    "{who}: {what} have different lengths, {} and {}; every sample needs one of \
                     each",
                    samples.n, dims[0]
                )));
            }
            if let Some(index) = array.iter().position(|x| !x.is_finite()) {
                let sample = index / shape.size();
                return Err(Error::data(format!(
                    "{who}: {what}{which} hold {} in sample {sample}; mend or remove that sample",
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

    /// How many arrays of samples there are.
    pub(crate) fn arrays(&self) -> usize {
        self.arrays.len()
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
    let dims = shape.iter().map(usize::to_string);
    let dims: Vec<String> = std::iter::once(n.to_string()).chain(dims).collect();
    format!("({})", dims.join(", "))
}

/// The most likely mistake behind a wrong shape of inputs.
fn advice_on_inputs(dims: &[usize], shape: &Shape) -> &'static str {
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

/// The most likely mistake behind a wrong shape of labels.
fn advice_on_labels(dims: &[usize], shape: &Shape) -> &'static str {
    if dims.len() == shape.len() {
        "make labels one-hot with to_categorical, or use SparseCategoricalCrossentropy for integer \
         labels"
    } else if dims.len() == shape.len() + 2 {
        "give integer labels, or use CategoricalCrossentropy for one-hot ones"
    } else {
        "the model's last layer and the labels must have the same number of classes"
    }
}
