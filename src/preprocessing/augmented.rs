use rand::RngExt;

use super::images::Images;
use crate::error::Result;
use crate::random::{derive, generator};
use crate::samples::{IntoSamples, Samples};
use crate::shape::Shape;

/// Images that are changed a little in training, each anew in every epoch: turned left to right, and
/// shifted. Validation and prediction see them as they are.
///
/// What is done to an image depends on the seed of `fit`, the epoch and the image alone.
///
/// ```
/// use convnet::prelude::*;
/// use convnet::preprocessing::Augmented;
/// use ndarray::{Array2, Array4};
///
/// let images = Array4::<u8>::zeros((40, 28, 28, 1));
/// let augmented = Augmented::new(&images)?.horizontal_flip(true).shift(2);
///
/// let image = Input::new([28, 28, 1]);
/// let class = image.apply(Flatten::new())?.apply(Dense::new(2).activation(Softmax))?;
/// let mut model =
///     Model::new(&image, &class)?.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
/// model.fit(&augmented, &Array2::from_elem((40, 2), 0.5), Fit::new().verbose(Verbose::Silent))?;
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Debug)]
pub struct Augmented<'a> {
    images: Images<'a>,
    horizontal_flip: bool,
    shift: usize,
}

impl<'a> Augmented<'a> {
    /// Images `(n, height, width, channels)`, an array or another source.
    ///
    /// # Errors
    /// If these are no images.
    pub fn new(images: impl IntoSamples<'a>) -> Result<Self> {
        let images = Images::new(images, "augmented")?;
        Ok(Self { images, horizontal_flip: false, shift: 0 })
    }

    /// Whether half of the images, drawn anew every time, are mirrored left to right; `false`.
    pub fn horizontal_flip(self, horizontal_flip: bool) -> Self {
        Self { horizontal_flip, ..self }
    }

    /// By how many pixels at most an image is moved, up or down and left or right; 0. Where that
    /// leaves a gap, the image is mirrored at its edge, as Keras' `RandomTranslation` does.
    pub fn shift(self, shift: usize) -> Self {
        Self { shift, ..self }
    }
}

impl Samples for Augmented<'_> {
    fn len(&self) -> usize {
        self.images.n
    }

    fn shape(&self) -> Shape {
        self.images.shape.into()
    }

    fn load(&self, index: usize, seed: Option<u64>, sample: &mut [f32]) -> Result<()> {
        let [h, w, c] = self.images.shape;
        let Some(seed) = seed else {
            return self.images.read(index, None, |image| sample.copy_from_slice(image));
        };
        let mut random = generator(derive(seed, 0));
        let flip = self.horizontal_flip && random.random();
        // Beyond the image's own size a shift comes back to where it was.
        let mut draw = |len: usize| {
            let most = self.shift.min(len);
            random.random_range(0..=2 * most) + 2 * len - most
        };
        let [down, right] = [draw(h), draw(w)];
        // What the images draw from is theirs alone.
        self.images.read(index, Some(derive(seed, 1)), |image| {
            for (i, row) in sample.chunks_exact_mut(w * c).enumerate() {
                let from = &image[reflected(i + down, h) * w * c..][..w * c];
                for (j, pixel) in row.chunks_exact_mut(c).enumerate() {
                    let j = reflected(j + right, w);
                    let j = if flip { w - 1 - j } else { j };
                    pixel.copy_from_slice(&from[j * c..][..c]);
                }
            }
        })
    }
}

/// The place in `0..len` of one in an axis that goes on beyond its ends by mirroring: `d c b a | a b c d |
/// d c b a`.
fn reflected(place: usize, len: usize) -> usize {
    let place = place % (2 * len);
    place.min(2 * len - 1 - place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, array};

    #[test]
    fn axes_are_mirrored_at_their_ends() {
        let places: Vec<usize> = (0..16).map(|place| reflected(place, 4)).collect();
        assert_eq!(places, [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]);
        assert!((0..5).all(|place| reflected(place, 1) == 0));
    }

    /// The rows of a picture of one row that come out for these seeds.
    fn rows(augmented: &Augmented<'_>, seeds: std::ops::Range<u64>) -> Vec<[f32; 4]> {
        let load = |seed| {
            let mut row = [f32::NAN; 4];
            augmented.load(0, Some(seed), &mut row).unwrap();
            row
        };
        seeds.map(load).collect()
    }

    #[test]
    fn images_are_flipped_and_shifted() {
        let image: Array4<u8> = array![[[[1], [2], [3], [4]]]];
        let none = Augmented::new(&image).unwrap();
        assert!(rows(&none, 0..20).iter().all(|row| *row == [1.0, 2.0, 3.0, 4.0]));

        let flipped = Augmented::new(&image).unwrap().horizontal_flip(true);
        let found = rows(&flipped, 0..1000);
        let mirrored = found.iter().filter(|row| **row == [4.0, 3.0, 2.0, 1.0]).count();
        let plain = found.iter().filter(|row| **row == [1.0, 2.0, 3.0, 4.0]).count();
        assert_eq!(mirrored + plain, 1000);
        assert!((400..600).contains(&mirrored), "{mirrored} of 1000 are mirrored");

        let shifted = Augmented::new(&image).unwrap().shift(1);
        let mut found = rows(&shifted, 0..1000);
        assert_eq!(found, rows(&shifted, 0..1000), "the same seed, the same image");
        found.sort_by(|a, b| a.partial_cmp(b).unwrap());
        found.dedup();
        assert_eq!(found, [[1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], [2.0, 3.0, 4.0, 4.0]]);

        let mut row = [f32::NAN; 4];
        Augmented::new(&image).unwrap().shift(usize::MAX).load(0, None, &mut row).unwrap();
        assert_eq!(row, [1.0, 2.0, 3.0, 4.0], "without a seed the image is as it is");
        rows(&Augmented::new(&image).unwrap().shift(usize::MAX), 0..20);
    }
}
