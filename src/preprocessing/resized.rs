use super::images::Images;
use crate::error::{Error, Result};
use crate::kernels::resize::Resize;
use crate::layers::Pair;
use crate::samples::{IntoSamples, Samples};
use crate::shape::Shape;

/// Images of another size, each resized when it is needed, so that all of them are never in memory at
/// that size: bilinear interpolation with the middles of pixels as their places, as Keras' `Resizing`.
///
/// | samples | shape                  |
/// |---------|------------------------|
/// | given   | `(h, w, channels)`     |
/// | made    | `(size…, channels)`    |
///
/// ```
/// use convnet::prelude::*;
/// use convnet::preprocessing::Resized;
/// use ndarray::{Array2, Array4};
///
/// let images = Array4::<u8>::from_elem((40, 28, 28, 1), 255);
/// let resized = Resized::new(&images, 32)?; // pairs are (height, width)
/// assert_eq!(resized.shape(), [32, 32, 1].into());
///
/// let image = Input::new([32, 32, 1]);
/// let class = image.apply(Flatten::new())?.apply(Dense::new(2).activation(Softmax))?;
/// let mut model =
///     Model::new(&image, &class)?.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
/// model.fit(&resized, &Array2::from_elem((40, 2), 0.5), Fit::new().verbose(Verbose::Silent))?;
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Debug)]
pub struct Resized<'a> {
    images: Images<'a>,
    size: [usize; 2],
    resize: Resize,
}

impl<'a> Resized<'a> {
    /// Images `(n, height, width, channels)`, an array or another source, made as large as `size`.
    ///
    /// # Errors
    /// If these are no images, a size is 0, or an image would have more bytes than can be counted.
    pub fn new(images: impl IntoSamples<'a>, size: impl Into<Pair>) -> Result<Self> {
        let images = Images::new(images, "resized")?;
        let size = size.into();
        if size.0.contains(&0) {
            return Err(Error::data(format!("resized: the size is {size}; it is at least 1×1")));
        }
        let [h, w, c] = images.shape;
        if !Shape::from([size.0[0], size.0[1], c]).fits_in_memory() {
            return Err(Error::data(format!(
                "resized: no image of {size} with {c} channels fits in memory; choose a smaller size"
            )));
        }
        Ok(Self { size: size.0, resize: Resize::new([h, w], size.0, false), images })
    }

    /// Whether an image that becomes smaller is smoothed first, so that nothing between two pixels is
    /// lost; `false`.
    pub fn antialias(mut self, antialias: bool) -> Self {
        let [h, w, _] = self.images.shape;
        self.resize = Resize::new([h, w], self.size, antialias);
        self
    }
}

impl Samples for Resized<'_> {
    fn len(&self) -> usize {
        self.images.n
    }

    fn shape(&self) -> Shape {
        let ([h, w], [.., c]) = (self.size, self.images.shape);
        [h, w, c].into()
    }

    fn load(&self, index: usize, seed: Option<u64>, sample: &mut [f32]) -> Result<()> {
        let [_, w, c] = self.images.shape;
        self.images.read(index, seed, |image| self.resize.run(c, image, w * c, sample))
    }
}
