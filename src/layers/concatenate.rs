use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, last};
use crate::kernels::parallel::{CHUNK, Worth, bytes};
use crate::shape::Shape;

/// Puts inputs one behind the other on the last axis, the channels of images. Keras: `Concatenate`.
///
/// # Errors
/// `apply` refuses fewer than two inputs, and inputs that differ in another axis than the last.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([8, 8, 3]);
/// let narrow = image.apply(Conv2D::new(4, 1))?;
/// let wide = image.apply(Conv2D::new(6, 5).padding(Same))?;
/// assert_eq!([narrow, wide].apply(Concatenate::new())?.shape().to_string(), "(8, 8, 10)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concatenate {}

impl Concatenate {
    /// The layer; it has nothing to configure.
    pub fn new() -> Self {
        Self {}
    }
}

impl Layer for Concatenate {
    fn class_name(&self) -> &'static str {
        "Concatenate"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let wrong = || Err("it wants inputs that differ in the last axis only".to_string());
        let [first, rest @ ..] = inputs else { return wrong() };
        if rest.is_empty() {
            return Err(
                "it wants at least two inputs: [a, b].apply(Concatenate::new())".to_string()
            );
        }
        let [rows @ .., _] = &**first else { return wrong() };
        let mut channels = 0usize;
        for input in inputs {
            match &**input {
                [other @ .., c] if other == rows => channels = channels.saturating_add(*c),
                _ => return wrong(),
            }
        }
        Ok([rows, &[channels]].concat().into())
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        let across = pass.layout.across();
        let channels = across * channels(pass.x.shapes());
        let rows = (CHUNK / channels).max(1);
        let mut from = 0;
        for (i, shape) in pass.x.shapes().iter().enumerate() {
            let (c, x) = (across * last(shape), pass.x.get(i));
            let pieces = pass.y.par_chunks_mut(rows * channels).zip(x.par_chunks(rows * c));
            pieces.worth(bytes(8 * x.len())).for_each(|(y, x)| {
                for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(c)) {
                    y[from..from + c].copy_from_slice(x);
                }
            });
            from += c;
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let across = pass.layout.across();
        let channels = across * channels(pass.x.shapes());
        let rows = (CHUNK / channels).max(1);
        let mut from = 0;
        for (i, shape) in pass.x.shapes().iter().enumerate() {
            let c = across * last(shape);
            if let Some(dx) = pass.dx.get(i) {
                let work = bytes(8 * dx.len());
                let pieces = dx.par_chunks_mut(rows * c).zip(pass.dy.par_chunks(rows * channels));
                pieces.worth(work).for_each(|(dx, dy)| {
                    for (dx, dy) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(channels)) {
                        dx.copy_from_slice(&dy[from..from + c]);
                    }
                });
            }
            from += c;
        }
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let channels: Vec<usize> = inputs.iter().map(last).collect();
        let terms: Vec<String> = channels.iter().map(usize::to_string).collect();
        let sum: usize = channels.iter().sum();
        Details::default().sized(format!("last axis: {} = {sum}", terms.join(" + ")))
    }
}

fn channels(inputs: &[Shape]) -> usize {
    inputs.iter().map(last).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(Concatenate::new, &[[2, 2, 3].into(), [2, 2, 1].into(), [2, 2, 2].into()]);
        check::laws(Concatenate::new, &[[1].into(), [4].into()]);
    }

    #[test]
    fn refuses_images_of_different_sizes() {
        check::refuses(
            Concatenate::new(),
            &[[2, 2, 3].into(), [2, 1, 3].into()],
            "concatenate: cannot take inputs of shapes (2, 2, 3), (2, 1, 3): it wants inputs that \
             differ in the last axis only",
        );
    }
}
