//! Functions of every element, in place, and their gradients in place of `dy`.

use super::exp;
use super::parallel::{CHUNK, Nanoseconds, Worth, bytes, flops};
use super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;

/// Arithmetic operations of an `exp`, `tanh` or logistic function.
const EXP_FLOPS: usize = 40;

/// A function of every element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    /// `max(x, 0)`
    Relu,
    /// `min(x, most)` above the threshold, `slope · (x − threshold)` up to it.
    Rectify {
        threshold: f32,
        slope: f32,
        most: f32,
    },
    Tanh,
    Sigmoid,
    /// `x` above 0, `eˣ − 1` up to it.
    Elu,
    /// `x · Φ(x)`
    Gelu,
    /// The same with `Φ(x) ≈ (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2`.
    GeluByTanh,
    /// `x / (1 + e⁻ˣ)`
    Silu,
}

impl Function {
    /// Whether the slope is told by the function's value: if not, `gradient` wants its argument. Of
    /// [`Rectify`](Function::Rectify) that holds with a threshold of 0.
    pub(crate) fn slope_of_value(self) -> bool {
        !matches!(self, Self::Gelu | Self::GeluByTanh | Self::Silu)
    }

    fn work(self, floats: usize) -> Nanoseconds {
        match self {
            Self::Relu | Self::Rectify { .. } => bytes(8 * floats),
            _ => flops(EXP_FLOPS * floats),
        }
    }

    fn gradient_work(self, floats: usize) -> Nanoseconds {
        if self.slope_of_value() { bytes(12 * floats) } else { flops(EXP_FLOPS * floats) }
    }
}

/// `y = f(y)`.
pub(crate) fn apply(level: Level, f: Function, y: &mut [f32]) {
    let work = f.work(y.len());
    y.par_chunks_mut(CHUNK).worth(work).for_each(|y| apply_chunk(level, f, y));
}

/// `y = f(x)`.
pub(crate) fn apply_to(level: Level, f: Function, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "floats of x and y");
    let pieces = x.par_chunks(CHUNK).zip(y.par_chunks_mut(CHUNK));
    pieces.worth(f.work(x.len())).for_each(|(x, y)| {
        y.copy_from_slice(x);
        apply_chunk(level, f, y);
    });
}

/// `dy` times the slope of `f`, from its values or its arguments, see [`Function::slope_of_value`].
pub(crate) fn gradient(level: Level, f: Function, from: &[f32], dy: &mut [f32]) {
    assert_eq!(from.len(), dy.len(), "floats of y and dy");
    let pieces = from.par_chunks(CHUNK).zip(dy.par_chunks_mut(CHUNK));
    let work = f.gradient_work(from.len());
    pieces.worth(work).for_each(|(from, dy)| gradient_chunk(level, f, from, dy));
}

/// The same in `dx`.
pub(crate) fn gradient_to(level: Level, f: Function, from: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert_eq!([from.len(), dy.len()], [dx.len(); 2], "floats of y, dy and dx");
    let pieces = from.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK)).zip(dx.par_chunks_mut(CHUNK));
    pieces.worth(f.gradient_work(from.len())).for_each(|((from, dy), dx)| {
        dx.copy_from_slice(dy);
        gradient_chunk(level, f, from, dx);
    });
}

multiversion! { fn apply_chunk(f: Function, y: &mut [f32]) = apply_body }
multiversion! { fn gradient_chunk(f: Function, from: &[f32], dy: &mut [f32]) = gradient_body }

#[inline(always)]
fn apply_body<F: Fma>(f: Function, y: &mut [f32]) {
    match f {
        // Not `f32::max`, which would turn NaN into 0 and hide a training that diverged.
        Function::Relu => each(y, |x| if x < 0.0 { 0.0 } else { x }),
        Function::Rectify { threshold, slope, most } => each(y, |x| {
            let upper = if x > most { most } else { x };
            // 0 times an infinite number would be NaN.
            let lower = if slope == 0.0 { 0.0 } else { slope * (x - threshold) };
            if x <= threshold { lower } else { upper }
        }),
        Function::Tanh => each(y, exp::tanh::<F>),
        Function::Sigmoid => each(y, exp::sigmoid::<F>),
        Function::Elu => each(y, |x| {
            let negative = exp::exp_m1::<F>(x);
            if x > 0.0 { x } else { negative }
        }),
        Function::Gelu => each(y, |x| x * exp::normal_cdf::<F>(x)),
        Function::GeluByTanh => each(y, |x| x * 0.5 * (1.0 + exp::tanh::<F>(inner::<F>(x)))),
        Function::Silu => each(y, |x| x * exp::sigmoid::<F>(x)),
    }
}

#[inline(always)]
fn gradient_body<F: Fma>(f: Function, from: &[f32], dy: &mut [f32]) {
    match f {
        Function::Relu => scale(from, dy, |y, dy| if y <= 0.0 { 0.0 } else { dy }),
        Function::Rectify { threshold, slope, most } => scale(from, dy, |x, dy| {
            let upper = if x >= most { 0.0 } else { dy };
            if x <= threshold { slope * dy } else { upper }
        }),
        Function::Tanh => scale(from, dy, |y, dy| dy * F::fma(-y, y, 1.0)),
        Function::Sigmoid => scale(from, dy, |y, dy| dy * (y * (1.0 - y))),
        Function::Elu => scale(from, dy, |y, dy| if y > 0.0 { dy } else { dy * (y + 1.0) }),
        Function::Gelu => scale(from, dy, |x, dy| {
            dy * F::fma(x, exp::normal_density::<F>(x), exp::normal_cdf::<F>(x))
        }),
        Function::GeluByTanh => scale(from, dy, |x, dy| {
            // From here on `t` is ±1 and the slope 1 or 0, where the square of x may be infinite.
            let x = x.clamp(-10.0, 10.0);
            let t = exp::tanh::<F>(inner::<F>(x));
            let slope = SCALE * F::fma(3.0 * CUBE * x, x, 1.0);
            dy * 0.5 * F::fma(x * F::fma(-t, t, 1.0), slope, 1.0 + t)
        }),
        Function::Silu => scale(from, dy, |x, dy| {
            let s = exp::sigmoid::<F>(x);
            dy * s * F::fma(x, 1.0 - s, 1.0)
        }),
    }
}

/// `√(2/π)`, and the factor of the cube (Hendrycks & Gimpel 2016).
const SCALE: f32 = 0.797_884_6;
const CUBE: f32 = 0.044_715;

/// What the `tanh` of [`Function::GeluByTanh`] is of.
#[inline(always)]
fn inner<F: Fma>(x: f32) -> f32 {
    SCALE * x * F::fma(CUBE * x, x, 1.0)
}

#[inline(always)]
fn each(y: &mut [f32], f: impl Fn(f32) -> f32) {
    y.iter_mut().for_each(|y| *y = f(*y));
}

#[inline(always)]
fn scale(from: &[f32], dy: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    dy.iter_mut().zip(from).for_each(|(dy, &from)| *dy = f(from, *dy));
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::*;

    const RECTIFY: Function = Function::Rectify { threshold: 1.1, slope: 0.25, most: 4.2 };
    const LEAKY: Function = Function::Rectify { threshold: 0.0, slope: 0.2, most: f32::INFINITY };

    /// Compares with `naive`, and the gradient with its differences.
    fn check(f: Function, naive: fn(f64) -> f64) {
        for n in [0, 1, 7, 16, 33, 3 * CHUNK + 5] {
            // Not one is where the slope jumps.
            let x: Vec<f32> = (0..n).map(|i| (i % 41) as f32 / 4.0 - 5.01).collect();
            for level in Level::all() {
                let mut y = x.clone();
                apply(level, f, &mut y);
                let mut elsewhere = vec![f32::NAN; n];
                apply_to(level, f, &x, &mut elsewhere);
                assert_eq!(elsewhere, y);
                let mut dy = vec![3.0; n];
                let of_value = f.slope_of_value() && f != RECTIFY;
                let from = if of_value { &y } else { &x };
                gradient_to(level, f, from, &dy, &mut elsewhere);
                gradient(level, f, from, &mut dy);
                assert_eq!(elsewhere, dy);
                for i in 0..n {
                    let exact = f64::from(x[i]);
                    let wanted = naive(exact);
                    let error = (f64::from(y[i]) - wanted).abs();
                    assert!(error < 3e-7 * wanted.abs().max(1.0), "{f:?} {level:?} {exact}");
                    let wanted = 3.0 * (naive(exact + 1e-5) - naive(exact - 1e-5)) / 2e-5;
                    assert!((f64::from(dy[i]) - wanted).abs() < 3e-6, "{f:?} {level:?} {exact}");
                }
            }
        }
    }

    #[test]
    fn without_a_slope_what_is_cut_off_is_0() {
        let relu6 = Function::Rectify { threshold: 0.0, slope: 0.0, most: 6.0 };
        for level in Level::all() {
            let mut y = [f32::NEG_INFINITY, -3.0, 0.5, 9.0];
            apply_chunk(level, relu6, &mut y);
            assert_eq!(y.map(f32::to_bits), [0.0_f32, 0.0, 0.5, 6.0].map(f32::to_bits));
        }
    }

    #[test]
    fn equal_the_naive_functions() {
        check(Function::Relu, |x| x.max(0.0));
        check(RECTIFY, |x| if x > 1.1 { x.min(4.2) } else { 0.25 * (x - 1.1) });
        check(LEAKY, |x| if x > 0.0 { x } else { 0.2 * x });
        check(Function::Tanh, f64::tanh);
        check(Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
        check(Function::Elu, |x| if x > 0.0 { x } else { x.exp_m1() });
        check(Function::Silu, |x| x / (1.0 + (-x).exp()));
        check(Function::GeluByTanh, |x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            x * (1.0 + inner.tanh()) / 2.0
        });
        check(Function::Gelu, |x| {
            let (mut term, mut sum) = (x, 0.0);
            for k in 1..200 {
                sum += term;
                term *= x * x / f64::from(2 * k + 1);
            }
            x * (0.5 + (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * sum)
        });
    }

    #[test]
    fn the_slope_of_gelu_by_tanh_was_nan_where_squares_are_infinite() {
        for level in Level::all() {
            let mut dy = [3.0; 4];
            gradient(level, Function::GeluByTanh, &[1e20, -1e20, f32::MAX, f32::MIN], &mut dy);
            assert_eq!(dy, [3.0, 0.0, 3.0, 0.0]);
        }
    }

    #[test]
    fn nan_survives() {
        use Function::*;
        for level in Level::all() {
            for f in [Relu, RECTIFY, LEAKY, Tanh, Sigmoid, Elu, Gelu, GeluByTanh, Silu] {
                let mut y = [f32::NAN; 20];
                apply(level, f, &mut y);
                assert!(y.iter().all(|y| y.is_nan()), "{f:?}");
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        assert_same_bits(|| {
            let mut y: Vec<f32> =
                (0..40 * CHUNK + 7).map(|i| (i % 83) as f32 / 9.0 - 4.0).collect();
            apply(super::super::simd::level(), Function::Tanh, &mut y);
            y
        });
    }
}
