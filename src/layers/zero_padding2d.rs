use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Inputs, Lanes, Layer, Margins, config_of, image};
use crate::kernels::pad::Pad;
use crate::shape::Shape;

/// Puts rows and columns of zeros round images: `(n, h, w, c)` becomes
/// `(n, top + h + bottom, left + w + right, c)`. Keras: `ZeroPadding2D`.
///
/// # Errors
/// `apply` refuses inputs that are not images.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([8, 6, 3]);
/// let shape = |layer| -> convnet::Result<String> { Ok(image.apply(layer)?.shape().to_string()) };
/// assert_eq!(shape(ZeroPadding2D::new(1))?, "(10, 8, 3)");
/// assert_eq!(shape(ZeroPadding2D::new((1, 2)))?, "(10, 10, 3)");
/// assert_eq!(shape(ZeroPadding2D::new(((0, 1), (2, 3))))?, "(9, 11, 3)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroPadding2D {
    pub(crate) padding: Margins,
}

impl ZeroPadding2D {
    /// So many zeros on every side; or (above and below, left and right); or
    /// ((above, below), (left, right)).
    pub fn new(padding: impl Into<Margins>) -> Self {
        Self { padding: padding.into() }
    }

    /// Samples in lanes are like more channels.
    fn pad(&self, x: &Inputs<'_>) -> Pad {
        let [h, w, c] = image(x.shapes()).unwrap_or_else(|why| panic!("zero_padding2d: {why}"));
        Pad { image: [h, w, c * x.layout.across()], margins: self.padding.0 }
    }
}

impl Layer for ZeroPadding2D {
    fn class_name(&self) -> &'static str {
        "ZeroPadding2D"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [h, w, c] = image(inputs)?;
        let Margins([vertical, horizontal]) = self.padding;
        let [h, w] = [(h, vertical), (w, horizontal)]
            .map(|(size, [before, behind])| size.saturating_add(before).saturating_add(behind));
        Ok([h, w, c].into())
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        self.pad(&pass.x).forward(pass.x.get(0), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            self.pad(&pass.x).backward(pass.dy, dx);
        }
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let Margins(margins) = self.padding;
        let line = |axis: usize| {
            let ([before, behind], size) = (margins[axis], inputs[0][axis]);
            format!("{before} + {size} + {behind} = {}", before + size + behind)
        };
        let details = Details::default().setting(format!(
            "padding {} above, {} below, {} left, {} right",
            margins[0][0], margins[0][1], margins[1][0], margins[1][1]
        ));
        details.sized(format!("height: {}", line(0))).sized(format!("width: {}", line(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(|| ZeroPadding2D::new(1), &[[2, 3, 2].into()]);
        check::laws(|| ZeroPadding2D::new(((2, 0), (0, 1))), &[[3, 1, 2].into()]);
        check::laws(|| ZeroPadding2D::new((0, 0)), &[[2, 2, 1].into()]);
    }

    #[test]
    fn refuses_vectors_and_sizes_beyond_memory() {
        let sentence = "zero_padding2d: cannot take an input of shape (784): it wants images of \
                        (height, width, channels)";
        check::refuses(ZeroPadding2D::new(1), &[784.into()], sentence);
        let sentence = format!(
            "zero_padding2d: cannot take an input of shape (2, 2, 1): the output of shape ({0}, {0}, \
             1) would have more than",
            usize::MAX
        );
        check::refuses(ZeroPadding2D::new(usize::MAX), &[[2, 2, 1].into()], &sentence);
    }
}
