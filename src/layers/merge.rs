//! What the layers share that merge inputs of one shape element by element.

use super::{Backward, Infer};
use crate::shape::Shape;

/// The shape that all inputs of a layer of this class have; there are at least two.
pub(super) fn common_shape(inputs: &[Shape], class: &str) -> Result<Shape, String> {
    match inputs {
        [first, rest @ ..] if !rest.is_empty() => {
            if rest.iter().all(|shape| shape == first) {
                Ok(first.clone())
            } else {
                Err("it wants inputs of the same shape; give what leads to them the same sizes"
                    .to_string())
            }
        }
        _ => Err(format!("it wants at least two inputs: [a, b].apply({class}::new())")),
    }
}

/// `y = factor · Σ x`
pub(super) fn sum(pass: Infer<'_>, factor: f32) {
    pass.y.copy_from_slice(pass.x.get(0));
    for i in 1..pass.x.shapes().len() {
        pass.y.iter_mut().zip(pass.x.get(i)).for_each(|(y, x)| *y += x);
    }
    if factor != 1.0 {
        pass.y.iter_mut().for_each(|y| *y *= factor);
    }
}

/// `dx = factor · dy` for every input.
pub(super) fn sum_backward(mut pass: Backward<'_>, factor: f32) {
    for i in 0..pass.x.shapes().len() {
        if let Some(dx) = pass.dx.get(i) {
            dx.iter_mut().zip(&*pass.dy).for_each(|(dx, dy)| *dx = factor * dy);
        }
    }
}
