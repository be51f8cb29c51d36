//! One kernel, compiled for several instruction sets, chosen at run time.
//!
//! A kernel is written once, as a plain generic function over [`Fma`] that LLVM vectorises.
//! [`multiversion!`] compiles it for each [`Level`] and calls the best one this machine has.

use std::sync::OnceLock;

/// What the processor can do. Ordered: a machine that has one has all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Whatever the target's baseline has: SSE2 on x86-64, NEON on aarch64.
    Plain,
    /// AVX2 and FMA: 8 floats.
    Avx2,
    /// AVX-512 F, VL, BW and DQ: 16 floats and masks.
    Avx512,
}

impl Level {
    /// Every level this machine can run, the plain one first; tests run each kernel at each.
    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Level> {
        [Level::Plain, Level::Avx2, Level::Avx512].into_iter().filter(|&level| level <= detect())
    }
}

/// The level in use: the best this machine has, or a lower one if the environment variable
/// `CONVNET_SIMD` says `plain`, `avx2` or `avx512`. Read once.
pub(crate) fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| match std::env::var("CONVNET_SIMD").as_deref() {
        Ok("plain") => Level::Plain,
        Ok("avx2") => Level::Avx2.min(detect()),
        _ => detect(),
    })
}

fn detect() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq");
            return if wide { Level::Avx512 } else { Level::Avx2 };
        }
    }
    Level::Plain
}

/// `a · b + c`: in one rounding where the instruction set has it, else in two. `f32::mul_add` alone
/// would be a library call on a machine without the instruction.
pub(crate) trait Fma: Copy {
    fn fma(a: f32, b: f32, c: f32) -> f32;
}

/// One rounding: the code is compiled with an FMA instruction.
#[derive(Clone, Copy)]
pub(crate) struct Fused;

impl Fma for Fused {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// The target's baseline: fused on aarch64, a product and a sum on x86-64.
#[derive(Clone, Copy)]
pub(crate) struct Baseline;

impl Fma for Baseline {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }
}

/// Asks for the cache line of `floats[at]`, if there is one, where the processor would not guess that it is
/// read or written soon: rows of a large matrix are too many at a time, and panels of filters lie apart.
#[inline(always)]
#[allow(unsafe_code)]
pub(super) fn prefetch(floats: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

        if let Some(float) = floats.get(at) {
            // SAFETY: a hint, which reads nothing and faults nowhere; all of x86-64 has it.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(float).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (floats, at);
}

/// Turns a generic kernel `body::<F: Fma>(args)` into `name(level, args)`.
///
/// ```text
/// multiversion! { pub(crate) fn axpy(a: f32, x: &[f32], y: &mut [f32]) = axpy_body }
/// #[inline(always)]
/// fn axpy_body<F: Fma>(a: f32, x: &[f32], y: &mut [f32]) { … }
/// axpy(simd::level(), 2.0, x, y);
/// ```
///
/// The body must be `#[inline(always)]`, and so must all it calls: only what is inlined into a
/// `#[target_feature]` function is compiled with that feature.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? = $body:ident) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name(level: $crate::kernels::simd::Level, $($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::simd::{Fused, Level};

                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $out)? {
                    $body::<Fused>($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $out)? {
                    $body::<Fused>($($arg),*)
                }
                match level {
                    // SAFETY: a level above `Plain` is only made where detection found its features.
                    Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Level::Avx2 => return unsafe { avx2($($arg),*) },
                    Level::Plain => {}
                }
            }
            let _ = level;
            $body::<$crate::kernels::simd::Baseline>($($arg),*)
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_one_asked_for() {
        let most = match std::env::var("CONVNET_SIMD").as_deref() {
            Ok("plain") => Level::Plain,
            Ok("avx2") => Level::Avx2,
            _ => Level::Avx512,
        };
        assert_eq!(Some(level()), Level::all().filter(|&level| level <= most).last());
    }
}
