use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, single};
use crate::shape::Shape;

/// Images to vectors: `(n, h, w, c)` becomes `(n, h·w·c)`. Keras: `Flatten`.
///
/// ```
/// use convnet::prelude::*;
///
/// assert_eq!(Input::new([5, 5, 16]).apply(Flatten::new())?.shape().to_string(), "(400)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flatten {}

impl Flatten {
    /// The layer; it has nothing to configure.
    pub fn new() -> Self {
        Self {}
    }
}

impl Layer for Flatten {
    fn class_name(&self) -> &'static str {
        "Flatten"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(single(inputs)?.size().into())
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn is_identity(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            dx.copy_from_slice(pass.dy);
        }
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let factors: Vec<String> = inputs[0].iter().map(usize::to_string).collect();
        Details::default().sized(format!("{} = {}", factors.join("·"), inputs[0].size()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(Flatten::new, &[[2, 3, 4].into()]);
        check::laws(Flatten::new, &[[5].into()]);
    }
}
