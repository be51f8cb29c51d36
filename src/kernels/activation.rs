//! Activation functions in place, and their gradients from `y` in place of `dy`.

use super::exp;
use super::parallel::{CHUNK, Worth, bytes, flops};
use super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;

/// Arithmetic operations of an `exp`, `tanh` or logistic function.
const EXP_FLOPS: usize = 40;

pub(crate) fn relu(level: Level, y: &mut [f32]) {
    let work = bytes(8 * y.len());
    y.par_chunks_mut(CHUNK).worth(work).for_each(|y| relu_chunk(level, y));
}

pub(crate) fn tanh(level: Level, y: &mut [f32]) {
    let work = flops(EXP_FLOPS * y.len());
    y.par_chunks_mut(CHUNK).worth(work).for_each(|y| tanh_chunk(level, y));
}

pub(crate) fn sigmoid(level: Level, y: &mut [f32]) {
    let work = flops(EXP_FLOPS * y.len());
    y.par_chunks_mut(CHUNK).worth(work).for_each(|y| sigmoid_chunk(level, y));
}

pub(crate) fn relu_backward(level: Level, y: &[f32], dy: &mut [f32]) {
    backward(y, dy, |y, dy| relu_backward_chunk(level, y, dy));
}

pub(crate) fn tanh_backward(level: Level, y: &[f32], dy: &mut [f32]) {
    backward(y, dy, |y, dy| tanh_backward_chunk(level, y, dy));
}

pub(crate) fn sigmoid_backward(level: Level, y: &[f32], dy: &mut [f32]) {
    backward(y, dy, |y, dy| sigmoid_backward_chunk(level, y, dy));
}

fn backward(y: &[f32], dy: &mut [f32], chunk: impl Fn(&[f32], &mut [f32]) + Sync) {
    assert_eq!(y.len(), dy.len(), "floats of y and dy");
    let work = bytes(12 * y.len());
    let pieces = y.par_chunks(CHUNK).zip(dy.par_chunks_mut(CHUNK));
    pieces.worth(work).for_each(|(y, dy)| chunk(y, dy));
}

multiversion! { fn relu_chunk(y: &mut [f32]) = relu_body }
multiversion! { fn tanh_chunk(y: &mut [f32]) = tanh_body }
multiversion! { fn sigmoid_chunk(y: &mut [f32]) = sigmoid_body }
multiversion! { fn relu_backward_chunk(y: &[f32], dy: &mut [f32]) = relu_backward_body }
multiversion! { fn tanh_backward_chunk(y: &[f32], dy: &mut [f32]) = tanh_backward_body }
multiversion! { fn sigmoid_backward_chunk(y: &[f32], dy: &mut [f32]) = sigmoid_backward_body }

#[inline(always)]
fn relu_body<F: Fma>(y: &mut [f32]) {
    // Not `f32::max`, which would turn NaN into 0 and hide a training that diverged.
    y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
}

#[inline(always)]
fn tanh_body<F: Fma>(y: &mut [f32]) {
    y.iter_mut().for_each(|y| *y = exp::tanh::<F>(*y));
}

#[inline(always)]
fn sigmoid_body<F: Fma>(y: &mut [f32]) {
    y.iter_mut().for_each(|y| *y = exp::sigmoid::<F>(*y));
}

#[inline(always)]
fn relu_backward_body<F: Fma>(y: &[f32], dy: &mut [f32]) {
    dy.iter_mut().zip(y).for_each(|(dy, &y)| *dy = if y <= 0.0 { 0.0 } else { *dy });
}

#[inline(always)]
fn tanh_backward_body<F: Fma>(y: &[f32], dy: &mut [f32]) {
    dy.iter_mut().zip(y).for_each(|(dy, &y)| *dy *= F::fma(-y, y, 1.0));
}

#[inline(always)]
fn sigmoid_backward_body<F: Fma>(y: &[f32], dy: &mut [f32]) {
    dy.iter_mut().zip(y).for_each(|(dy, &y)| *dy *= y * (1.0 - y));
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::*;

    type Forward = fn(Level, &mut [f32]);
    type Backward = fn(Level, &[f32], &mut [f32]);

    fn check(forward: Forward, backward: Backward, naive: fn(f64) -> f64, slope: fn(f64) -> f64) {
        for n in [0, 1, 7, 16, 33, 3 * CHUNK + 5] {
            let x: Vec<f32> = (0..n).map(|i| (i % 41) as f32 / 4.0 - 5.0).collect();
            for level in Level::all() {
                let mut y = x.clone();
                forward(level, &mut y);
                let mut dy = vec![3.0; n];
                backward(level, &y, &mut dy);
                for i in 0..n {
                    let wanted = naive(x[i].into());
                    assert!((f64::from(y[i]) - wanted).abs() < 3e-7, "{level:?} {}", x[i]);
                    let wanted = 3.0 * slope(wanted);
                    assert!((f64::from(dy[i]) - wanted).abs() < 2e-6, "{level:?} {}", x[i]);
                }
            }
        }
    }

    #[test]
    fn equal_the_naive_functions() {
        let step = |y| if y > 0.0 { 1.0 } else { 0.0 };
        check(relu, relu_backward, |x| x.max(0.0), step);
        check(tanh, tanh_backward, f64::tanh, |y| 1.0 - y * y);
        check(sigmoid, sigmoid_backward, |x| 1.0 / (1.0 + (-x).exp()), |y| y * (1.0 - y));
    }

    #[test]
    fn nan_survives() {
        for level in Level::all() {
            for forward in [relu, tanh, sigmoid] {
                let mut y = [f32::NAN; 20];
                forward(level, &mut y);
                assert!(y.iter().all(|y| y.is_nan()));
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        assert_same_bits(|| {
            let mut y: Vec<f32> =
                (0..40 * CHUNK + 7).map(|i| (i % 83) as f32 / 9.0 - 4.0).collect();
            tanh(super::super::simd::level(), &mut y);
            y
        });
    }
}
