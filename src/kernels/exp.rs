//! `exp`, `tanh`, the logistic function and the normal distribution without branches or library calls,
//! so that loops over them vectorise.

use super::simd::Fma;
use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// From here on `eˣ` is infinite, and from there on it is zero: less than half the least denormal.
const INFINITE: f32 = 89.0;
const ZERO: f32 = -104.0;

/// `ln 2` as two summands. The first has so few bits that its multiples by up to 150 are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Added to a small number, 1.5 · 2²³ leaves no room for a fraction: the sum's last bits are the
/// nearest integer.
const ROUND: f32 = 12_582_912.0;

/// `eˣ` within about an ulp, denormal results included.
///
/// `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`, thus `eˣ = 2ⁿ·eʳ`.
#[inline(always)]
pub(crate) fn exp<F: Fma>(x: f32) -> f32 {
    // Written so that NaN passes.
    let x = if x < ZERO { ZERO } else { x };
    let x = if x > INFINITE { INFINITE } else { x };
    let rounded = F::fma(x, LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = F::fma(n, -LN_2_LOW, F::fma(n, -LN_2_HIGH, x));
    let e = near_zero::<F>(r) + 1.0;
    // In two steps: 2ⁿ alone may be out of range where the product is not.
    let n = rounded.to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
    let half = n >> 1;
    e * two_to(half) * two_to(n.wrapping_sub(half))
}

/// `eʳ − 1 = r + r²·p(r)` for `|r| ≤ ln 2 / 2`: the minimax coefficients of Cephes' expf.
#[inline(always)]
fn near_zero<F: Fma>(r: f32) -> f32 {
    let p = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    F::fma(horner::<F, 6>(r, p), r * r, r)
}

/// `eˣ − 1` without loss of digits near zero.
#[inline(always)]
pub(crate) fn exp_m1<F: Fma>(x: f32) -> f32 {
    let far = exp::<F>(x) - 1.0;
    if x.abs() < 0.34 { near_zero::<F>(x) } else { far }
}

/// `Φ(x)`: how likely a standard normal number is to be less than `x`.
///
/// With `z = |x|/√2` and `t = 1/(1 + z/2)`, `Φ(−|x|) = erfc(z)/2 = t·exp(−z² + p(t))/2`.
#[inline(always)]
pub(crate) fn normal_cdf<F: Fma>(x: f32) -> f32 {
    let t = 1.0 / F::fma(x.abs(), 0.5 * FRAC_1_SQRT_2, 1.0);
    // Fitted to ln(erfc(z)·exp(z²)/t) at Chebyshev's nodes for z up to 10: off by at most 7e-8.
    let p = [
        1.449_302_1e-1,
        -6.808_272e-1,
        1.156_733_8,
        -6.962_519e-1,
        -8.028_044e-2,
        1.267_588_6e-3,
        3.460_28e-2,
        3.866_404e-1,
        9.986_328e-1,
        -1.265_448,
    ];
    let tail = 0.5 * t * exp::<F>(F::fma(-0.5 * x, x, horner::<F, 10>(t, p)));
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// `φ(x)`, the slope of [`normal_cdf`].
#[inline(always)]
pub(crate) fn normal_density<F: Fma>(x: f32) -> f32 {
    const AT_ZERO: f32 = 0.398_942_3;
    AT_ZERO * exp::<F>(-0.5 * x * x)
}

/// `2ⁿ` for `n` in `-126..=127`.
#[inline(always)]
fn two_to(n: i32) -> f32 {
    f32::from_bits(n.wrapping_add(127).cast_unsigned() << 23)
}

/// The polynomial with these coefficients, the highest power's first.
#[inline(always)]
fn horner<F: Fma, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for c in coefficients {
        sum = F::fma(sum, x, c);
    }
    sum
}

/// `1 / (1 + e⁻ˣ)`, with small relative error down to the denormals.
#[inline(always)]
pub(crate) fn sigmoid<F: Fma>(x: f32) -> f32 {
    let e = exp::<F>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// `tanh x`: near zero a polynomial, since `1 - 2 / (e²ˣ + 1)` would cancel.
#[inline(always)]
pub(crate) fn tanh<F: Fma>(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    // tanh x = x + x³·p(x²) for |x| < 0.625: the minimax coefficients of Cephes' tanhf.
    let p = [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -0.333_332_8];
    let near = F::fma(horner::<F, 5>(square, p) * square, x, x);
    let far = 1.0 - 2.0 / (exp::<F>(2.0 * size) + 1.0);
    if size < 0.625 { near } else { far.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Baseline, Fused};
    use super::*;

    /// Distance from the exact value in units of the last place of its rounding to f32.
    fn ulps(got: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        if got == rounded || (got.is_nan() && rounded.is_nan()) {
            return 0.0;
        }
        let ulp = f64::from(rounded.abs().next_up()) - f64::from(rounded.abs());
        (f64::from(got) - exact).abs() / ulp
    }

    /// Floats of every size and both signs, and the special ones.
    fn samples() -> impl Iterator<Item = f32> {
        let all = (0..=u32::MAX).step_by(10_007).map(f32::from_bits);
        let dense = (-1_100_000..1_100_000).map(|i| i as f32 / 10_000.0);
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e4, -1e4, 1e-40];
        all.chain(dense).chain(special).chain([88.722_84, 88.73, -87.4, -103.97, -103.98])
    }

    fn check(name: &str, limit: f64, exact: fn(f64) -> f64, ours: [fn(f32) -> f32; 2]) {
        for f in ours {
            let worst = samples()
                .map(|x| (ulps(f(x), exact(x.into())), x))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .unwrap();
            assert!(worst.0 <= limit, "{name}({:e}) is {} ulp off", worst.1, worst.0);
        }
    }

    #[test]
    fn exp_is_accurate_everywhere() {
        check("exp", 1.5, f64::exp, [exp::<Fused>, exp::<Baseline>]);
    }

    #[test]
    fn tanh_is_accurate_everywhere() {
        check("tanh", 2.0, f64::tanh, [tanh::<Fused>, tanh::<Baseline>]);
    }

    #[test]
    fn sigmoid_is_accurate_everywhere() {
        let exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        check("sigmoid", 3.0, exact, [sigmoid::<Fused>, sigmoid::<Baseline>]);
    }

    #[test]
    fn exp_m1_is_accurate_everywhere() {
        check("exp_m1", 4.0, f64::exp_m1, [exp_m1::<Fused>, exp_m1::<Baseline>]);
    }

    /// By the series Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/15 + …), which is sure of 10 digits up to 6.
    #[test]
    fn the_normal_distribution_is_accurate() {
        for i in -6000..=6000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x);
            let density = (-exact * exact / 2.0).exp() / std::f64::consts::TAU.sqrt();
            let (mut term, mut sum) = (exact, 0.0);
            for k in 1..200 {
                sum += term;
                term *= exact * exact / f64::from(2 * k + 1);
            }
            for (cdf, slope) in [
                (normal_cdf::<Fused>(x), normal_density::<Fused>(x)),
                (normal_cdf::<Baseline>(x), normal_density::<Baseline>(x)),
            ] {
                assert!((f64::from(cdf) - (0.5 + density * sum)).abs() < 2e-7, "{x}: {cdf}");
                assert!((f64::from(slope) - density).abs() < 1e-7, "{x}: {slope}");
            }
        }
        assert!(normal_cdf::<Fused>(f32::NAN).is_nan());
        assert_eq!([-50.0, 50.0].map(normal_cdf::<Fused>), [0.0, 1.0]);
    }
}
