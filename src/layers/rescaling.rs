use serde::{Deserialize, Serialize};

use super::{Backward, Config, Details, Infer, Lanes, Layer, config_of, single};
use crate::kernels::elementwise::each;
use crate::shape::Shape;

/// `y = scale · x + offset`: brings pixels to the range that a network was made for. Keras:
/// `Rescaling`.
///
/// # Errors
/// `apply` refuses a scale and an offset that are not finite.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(3);
/// let model = Model::new(&x, x.apply(Rescaling::new(1.0 / 127.5).offset(-1.0))?)?;
/// assert_eq!(model.predict(&array![[0, 0, 255]])?, array![[-1.0, -1.0, 1.0]].into_dyn());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rescaling {
    pub(crate) scale: f64,
    pub(crate) offset: f64,
}

impl Rescaling {
    /// By this factor.
    pub fn new(scale: f64) -> Self {
        Self { scale, offset: 0.0 }
    }

    /// What is added then; 0.
    pub fn offset(self, offset: f64) -> Self {
        Self { offset, ..self }
    }
}

impl Layer for Rescaling {
    fn class_name(&self) -> &'static str {
        "Rescaling"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        for (name, value) in [("scale", self.scale), ("offset", self.offset)] {
            if !(value as f32).is_finite() {
                return Err(format!("its {name} is {value}; it is a finite number"));
            }
        }
        single(inputs).cloned()
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        let [scale, offset] = [self.scale, self.offset].map(|number| number as f32);
        each(pass.y, pass.x.get(0), |y, x| *y = scale * x + offset);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            let scale = self.scale as f32;
            each(dx, pass.dy, |dx, dy| *dx = scale * dy);
        }
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        Details::default().setting(format!("x · {} + {}", self.scale, self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        check::laws(|| Rescaling::new(0.3).offset(2.0), &[[3, 2, 2].into()]);
    }

    #[test]
    fn refuses_what_is_not_finite() {
        let who = "rescaling: cannot take an input of shape (2): its";
        let layer = Rescaling::new(f64::INFINITY);
        check::refuses(layer, &[[2].into()], &format!("{who} scale is inf; it is a finite number"));
        let layer = Rescaling::new(1.0).offset(f64::NAN);
        check::refuses(layer, &[[2].into()], &format!("{who} offset is NaN; it is a finite"));
    }
}
