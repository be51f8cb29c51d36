//! What the layers share that merge inputs of one shape element by element.

use super::{Backward, Infer};
use crate::kernels::activation::{self, Function};
use crate::kernels::elementwise::{by_pieces, each};
use crate::kernels::simd::level;
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

/// `y = factor · Σ x`, and 0 where that is negative if `relu`.
pub(super) fn sum(pass: Infer<'_>, factor: f32, relu: bool) {
    let Infer { x, y, .. } = pass;
    let count = x.shapes().len();
    by_pieces(y, count, |y, here| {
        y.copy_from_slice(&x.get(0)[here.clone()]);
        for i in 1..count {
            y.iter_mut().zip(&x.get(i)[here.clone()]).for_each(|(y, x)| *y += x);
        }
        if factor != 1.0 {
            y.iter_mut().for_each(|y| *y *= factor);
        }
        if relu {
            y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
        }
    });
}

/// `dx = factor · dy` for every input, or 0 where ReLU cut the output off.
pub(super) fn sum_backward(mut pass: Backward<'_>, factor: f32, relu: bool) {
    if relu {
        activation::gradient(level(), Function::Relu, pass.y, pass.dy);
    }
    for i in 0..pass.x.shapes().len() {
        if let Some(dx) = pass.dx.get(i) {
            each(dx, pass.dy, |dx, dy| *dx = factor * dy);
        }
    }
}
