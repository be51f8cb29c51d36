use serde::{Deserialize, Serialize};

use super::{Backward, Forward, Infer, Layer, WeightSpec, single};
use crate::initializers::Initializer;
use crate::shape::Shape;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNormalization {
    momentum: f64,
    epsilon: f64,
}
impl BatchNormalization {
    pub fn new() -> Self {
        Self { momentum: 0.99, epsilon: 1e-3 }
    }
}
impl Layer for BatchNormalization {
    fn class_name(&self) -> &'static str {
        "BatchNormalization"
    }
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        single(inputs).cloned()
    }
    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
    }
    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            dx.copy_from_slice(pass.dy);
        }
    }
}
