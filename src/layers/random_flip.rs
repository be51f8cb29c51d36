use std::sync::Arc;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::random_transform::{self, affine};
use super::{
    Activation, Backward, Config, Details, FillMode, Forward, Infer, Interpolation, Layer, Layout,
    config_of, image, snake_case,
};
use crate::kernels::affine::Transform;
use crate::shape::Shape;

/// In training, flips each image with probability ½; in inference does nothing. Keras: `RandomFlip`.
///
/// What is drawn depends on the seed of `fit`, the epoch, the batch, the layer and the sample alone.
///
/// # Errors
/// `apply` refuses inputs that are not images.
///
/// ```
/// use convnet::layers::FlipMode;
/// use convnet::prelude::*;
///
/// let image = Input::new([32, 32, 3]);
/// let flipped = image.apply(RandomFlip::new().mode(FlipMode::Horizontal))?;
/// assert_eq!(flipped.shape(), image.shape());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomFlip {
    mode: FlipMode,
}

/// Which way [`RandomFlip`] flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlipMode {
    /// Left to right.
    Horizontal,
    /// Top to bottom.
    Vertical,
    /// Both ways at once: as in Keras one draw decides, so that an image is turned by half or left.
    HorizontalAndVertical,
}

impl RandomFlip {
    /// Both ways at once.
    pub fn new() -> Self {
        Self { mode: FlipMode::HorizontalAndVertical }
    }

    /// Which way; `HorizontalAndVertical`.
    pub fn mode(self, mode: FlipMode) -> Self {
        Self { mode }
    }

    /// An image of this size seen flipped, or as it is.
    fn transform(self, [h, w, _]: [usize; 3], flip: bool) -> Transform {
        let axis = |flips: bool, size: usize| {
            if flips && flip { (-1.0, size as f32 - 1.0) } else { (1.0, 0.0) }
        };
        let (along, right) = axis(self.mode != FlipMode::Vertical, w);
        let (down, bottom) = axis(self.mode != FlipMode::Horizontal, h);
        [along, 0.0, right, 0.0, down, bottom]
    }
}

impl Default for RandomFlip {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for RandomFlip {
    fn class_name(&self) -> &'static str {
        "RandomFlip"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        image(inputs).map(Shape::from)
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    /// The transforms.
    fn saved_len(&self, _inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        random_transform::saved_len(n)
    }

    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
    }

    fn forward(&self, pass: Forward<'_>) {
        let affine = affine(&pass.x, Interpolation::Nearest, FillMode::Nearest, 0.0);
        random_transform::forward(pass, affine, |random| {
            self.transform(affine.image, random.random::<f64>() <= 0.5)
        });
    }

    fn backward(&self, pass: Backward<'_>) {
        let affine = affine(&pass.x, Interpolation::Nearest, FillMode::Nearest, 0.0);
        random_transform::backward(pass, affine);
    }

    fn at_inference(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Activation::Linear))
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        let mode = snake_case(&format!("{:?}", self.mode));
        Details::default().setting(format!("mode {mode}, in training only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check::{self, Bench};
    use FlipMode::{Horizontal, HorizontalAndVertical, Vertical};
    use ndarray::{Array4, Axis, s};

    #[test]
    fn obeys_the_laws() {
        for mode in [Horizontal, Vertical, HorizontalAndVertical] {
            check::laws(|| RandomFlip::new().mode(mode), &[[3, 4, 2].into()]);
        }
    }

    #[test]
    fn half_of_the_images_are_flipped_and_only_in_training() {
        let n = 400;
        let x =
            Array4::from_shape_fn((n, 3, 4, 2), |(n, y, x, c)| (n * 24 + y * 8 + x * 2 + c) as f32);
        for mode in [Horizontal, Vertical, HorizontalAndVertical] {
            let layer = RandomFlip::new().mode(mode);
            let mut bench = Bench::new(layer, &[[3, 4, 2].into()], n, Layout::Rows);
            let input = [x.clone().into_dyn()];
            assert_eq!(bench.predict(&input), input[0]);
            let y = Array4::from_shape_vec(x.dim(), bench.forward(&input).to_vec()).unwrap();
            let mut flipped = 0;
            for (x, y) in x.axis_iter(Axis(0)).zip(y.axis_iter(Axis(0))) {
                let turned = match mode {
                    Horizontal => x.slice(s![.., ..;-1, ..]),
                    Vertical => x.slice(s![..;-1, .., ..]),
                    HorizontalAndVertical => x.slice(s![..;-1, ..;-1, ..]),
                };
                assert!(y == x || y == turned);
                flipped += usize::from(y == turned);
            }
            // Four deviations of so many draws.
            assert!((160..=240).contains(&flipped), "{flipped} of {n}");
        }
    }

    #[test]
    fn refuses_vectors() {
        let sentence = "random_flip: cannot take an input of shape (784): it wants images of (height, \
                        width, channels)";
        check::refuses(RandomFlip::new(), &[784.into()], sentence);
    }
}
