use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, single};
use crate::shape::Shape;
use crate::words::counted;

/// The same numbers under another shape: `(n, …)` becomes `(n, target_shape…)`. Keras: `Reshape`.
///
/// # Errors
/// `apply` refuses a target with another count of numbers than the input.
///
/// ```
/// use convnet::prelude::*;
///
/// let x = Input::new(784);
/// assert_eq!(x.apply(Reshape::new([28, 28, 1]))?.shape().to_string(), "(28, 28, 1)");
/// assert_eq!(x.apply(Reshape::new([7, 7, -1]))?.shape().to_string(), "(7, 7, 16)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    target_shape: Vec<isize>,
}

impl Reshape {
    /// To this shape of one sample; one of its sizes may be −1, which is then inferred.
    pub fn new(target_shape: impl Into<Vec<isize>>) -> Self {
        Self { target_shape: target_shape.into() }
    }
}

impl Layer for Reshape {
    fn class_name(&self) -> &'static str {
        "Reshape"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let size = single(inputs)?.size();
        let target = &self.target_shape;
        let shown = || target.iter().map(isize::to_string).collect::<Vec<_>>().join(", ");
        if target.iter().any(|&size| size == 0 || size < -1)
            || target.iter().filter(|&&size| size == -1).count() > 1
        {
            return Err(format!(
                "its target_shape is ({}); every size is at least 1, but one may be -1, which is \
                 inferred",
                shown()
            ));
        }
        let known = target.iter().filter_map(|&size| usize::try_from(size).ok());
        let known: usize = known.fold(1, usize::saturating_mul);
        let infers = target.contains(&-1);
        let inferred = if infers { size / known } else { 1 };
        if known.saturating_mul(inferred) != size {
            let multiple = if infers { "a multiple of " } else { "" };
            return Err(format!(
                "its target_shape ({}) holds {multiple}{}, the input has {size}; give sizes whose \
                 product is {size}",
                shown(),
                counted(known, "number")
            ));
        }
        let sizes = target.iter().map(|&size| usize::try_from(size).unwrap_or(inferred));
        Ok(sizes.collect::<Vec<_>>().into())
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
        let product =
            |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("·");
        let output = self.output_shape(inputs).unwrap_or_else(|why| panic!("reshape: {why}"));
        let (from, to, size) = (product(&inputs[0]), product(&output), output.size());
        Details::default().sized(format!("{from} = {size} = {to}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(|| Reshape::new([2, 3, 2]), &[[12].into()]);
        check::laws(|| Reshape::new([-1]), &[[2, 3, 4].into()]);
        check::laws(|| Reshape::new([4, -1]), &[[2, 3, 4].into()]);
    }

    #[test]
    fn refuses_what_does_not_hold_the_numbers() {
        let advice = "the input has 16; give sizes whose product is 16";
        let one_inferred = "every size is at least 1, but one may be -1, which is inferred";
        for (target, reason) in [
            (vec![3, 5], format!("its target_shape (3, 5) holds 15 numbers, {advice}")),
            (
                vec![3, -1],
                format!("its target_shape (3, -1) holds a multiple of 3 numbers, {advice}"),
            ),
            (vec![], format!("its target_shape () holds 1 number, {advice}")),
            (vec![-1, 2, -1], format!("its target_shape is (-1, 2, -1); {one_inferred}")),
            (vec![0, 16], format!("its target_shape is (0, 16); {one_inferred}")),
            (vec![-2, -8], format!("its target_shape is (-2, -8); {one_inferred}")),
        ] {
            let who = "reshape: cannot take an input of shape (4, 4):";
            check::refuses(Reshape::new(target), &[[4, 4].into()], &format!("{who} {reason}"));
        }
        let most = Reshape::new([isize::MAX, isize::MAX, -1]);
        let sentence = format!(
            "reshape: cannot take an input of shape (4): its target_shape ({0}, {0}",
            isize::MAX
        );
        check::refuses(most, &[[4].into()], &sentence);
    }
}
