//! What `fit`, `evaluate` and `predict` take: arrays, and samples that are made when they are needed.

use std::borrow::Cow;
use std::fmt;

use ndarray::{ArrayBase, ArrayView, Data, Dimension};

use crate::arrays::Element;
use crate::error::Result;
use crate::shape::Shape;
use crate::words::counted;

/// Samples that are made when they are needed: images too many for the memory, decoded from files or
/// changed a little for every epoch. Keras: `PyDataset`.
///
/// A reference to such a source goes wherever an array does, as inputs, as labels or as both; the other
/// may be an array. While a training step runs, the batch of the next one is loaded, several samples
/// at once on the same threads, so that training does not wait and two batches are all that is in
/// memory. Shuffling, the validation split and batches are `fit`'s.
///
/// ```
/// use convnet::prelude::*;
/// use convnet::Shape;
/// use ndarray::{Array1, Array4};
///
/// /// Grey pictures of stripes, upright or level, each drawn when it is needed.
/// struct Stripes;
///
/// impl Samples for Stripes {
///     fn len(&self) -> usize {
///         200
///     }
///
///     fn shape(&self) -> Shape {
///         [8, 8, 1].into()
///     }
///
///     fn load(&self, index: usize, seed: Option<u64>, pixels: &mut [f32]) -> convnet::Result<()> {
///         let shift = seed.unwrap_or(0) as usize % 4; // another one every epoch
///         for (i, pixel) in pixels.iter_mut().enumerate() {
///             let along = if index % 2 == 0 { i / 8 } else { i % 8 };
///             *pixel = f32::from((along + shift) % 4 < 2);
///         }
///         Ok(())
///     }
/// }
///
/// let image = Input::new([8, 8, 1]);
/// let class = image.apply(Conv2D::new(4, 3).activation(Relu))?.apply(Flatten::new())?;
/// let class = class.apply(Dense::new(2).activation(Softmax))?;
/// let model = Model::new(&image, &class)?;
/// let mut model = model.compile(Adam::new(0.01), SparseCategoricalCrossentropy, [Accuracy]);
/// let labels = Array1::from_shape_fn(200, |i| i as u32 % 2);
/// let fit = Fit::new().epochs(10).validation_split(0.2).verbose(Verbose::Silent);
/// let history = model.fit(&Stripes, &labels, fit)?;
/// assert_eq!(history.history["val_accuracy"].last(), Some(&1.0));
/// assert_eq!(model.predict(&Stripes)?.shape(), [200, 2]);
/// # Ok::<(), convnet::Error>(())
/// ```
pub trait Samples: Sync {
    /// How many samples there are. The same at every call.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one sample. The same at every call.
    fn shape(&self) -> Shape;

    /// Writes the sample of this index, row-major, over zeros.
    ///
    /// In training `seed` is what a random change of the sample draws from: another for every sample
    /// and epoch, the same on any number of threads, and the same for the inputs and the labels of a
    /// sample. Elsewhere it is `None`: validation and prediction see samples as they are.
    ///
    /// # Errors
    /// If the sample cannot be had; that ends `fit`, and the sentence comes out of it behind the
    /// sample's index.
    fn load(&self, index: usize, seed: Option<u64>, sample: &mut [f32]) -> Result<()>;
}

/// The samples of one input or one output of a model.
pub enum Column<'a> {
    /// An array in memory, whose first axis counts the samples.
    Array {
        /// Its shape.
        dims: Vec<usize>,
        /// Its numbers, row-major.
        floats: Cow<'a, [f32]>,
    },
    /// Samples that are made when they are needed.
    Samples(&'a dyn Samples),
}

impl fmt::Debug for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, dims) = match self {
            Self::Array { .. } => ("Array", self.dims()),
            Self::Samples(_) => ("Samples", self.dims()),
        };
        write!(f, "{kind}({})", Shape::from(dims))
    }
}

impl<'a> Column<'a> {
    pub(crate) fn array<A: Element, D: Dimension>(array: ArrayView<'a, A, D>) -> Self {
        Self::Array { dims: array.shape().to_vec(), floats: A::to_f32(array) }
    }

    /// Refuses an array whose numbers are not as many as its shape says, as the end of a sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Array { dims, floats } if Shape::from(&dims[..]).size() != floats.len() => {
                Err(format!(
                    "have the shape {} and {}; give as many as the shape says",
                    Shape::from(&dims[..]),
                    counted(floats.len(), "float")
                ))
            }
            _ => Ok(()),
        }
    }

    /// The same samples, for somebody who takes a column.
    #[cfg(feature = "report")]
    pub(crate) fn lend(&self) -> Column<'_> {
        match self {
            Self::Array { dims, floats } => {
                Column::Array { dims: dims.clone(), floats: Cow::Borrowed(floats) }
            }
            Self::Samples(samples) => Column::Samples(*samples),
        }
    }

    /// The shape of all samples together.
    pub(crate) fn dims(&self) -> Vec<usize> {
        match self {
            Self::Array { dims, .. } => dims.clone(),
            Self::Samples(samples) => [&[samples.len()], &*samples.shape()].concat(),
        }
    }
}

/// What `fit`, `evaluate` and `predict` take: a reference to an `ndarray` array of any numbers whose
/// first axis counts the samples, or to [`Samples`] that are made when they are needed; an array or `Vec`
/// of views, or an array of `&dyn Samples`, for a model with several inputs or outputs. Views of other
/// numbers of axes, such as images and rows, go together by `into_dyn`, all others by their [`Column`]s.
///
/// ```
/// use convnet::IntoSamples;
/// use convnet::prelude::*;
/// use ndarray::Array2;
///
/// let (a, b) = (Input::new(3), Input::new(3));
/// let model = Model::new([&a, &b], [&a, &b].apply(Add::new())?)?;
/// let (x, y) = (Array2::<f32>::ones((5, 3)), Array2::<f32>::ones((5, 3)));
/// let sum = model.predict([x.view(), y.view()])?;
/// assert!(sum.iter().all(|&s| s == 2.0));
///
/// let image = Input::new([1, 3, 1]);
/// let both = (&image.apply(Flatten::new())?, &b).apply(Add::new())?;
/// let model = Model::new((&image, &b), both)?;
/// let images = x.to_shape((5, 1, 3, 1)).unwrap();
/// assert_eq!(model.predict([images.view().into_dyn(), y.view().into_dyn()])?, sum);
///
/// let bytes = images.mapv(|x| x as u8);
/// let columns = [(&bytes).into_samples(), (&y).into_samples()];
/// let columns: Vec<convnet::Column<'_>> = columns.into_iter().flatten().collect();
/// assert_eq!(model.predict(columns)?, sum);
/// # Ok::<(), convnet::Error>(())
/// ```
pub trait IntoSamples<'a> {
    /// The samples of each input, or each output.
    fn into_samples(self) -> Vec<Column<'a>>;
}

impl<'a, A: Element, S: Data<Elem = A>, D: Dimension> IntoSamples<'a> for &'a ArrayBase<S, D> {
    fn into_samples(self) -> Vec<Column<'a>> {
        vec![Column::array(self.view())]
    }
}

impl<'a, A: Element, D: Dimension, const N: usize> IntoSamples<'a> for [ArrayView<'a, A, D>; N] {
    fn into_samples(self) -> Vec<Column<'a>> {
        self.into_iter().map(Column::array).collect()
    }
}

impl<'a, A: Element, D: Dimension> IntoSamples<'a> for Vec<ArrayView<'a, A, D>> {
    fn into_samples(self) -> Vec<Column<'a>> {
        self.into_iter().map(Column::array).collect()
    }
}

impl<'a, T: Samples> IntoSamples<'a> for &'a T {
    fn into_samples(self) -> Vec<Column<'a>> {
        vec![Column::Samples(self)]
    }
}

impl<'a, const N: usize> IntoSamples<'a> for [&'a dyn Samples; N] {
    fn into_samples(self) -> Vec<Column<'a>> {
        self.into_iter().map(Column::Samples).collect()
    }
}

impl<'a> IntoSamples<'a> for Vec<Column<'a>> {
    fn into_samples(self) -> Vec<Column<'a>> {
        self
    }
}
