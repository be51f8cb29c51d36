//! One register of floats. Plain arrays would read better, but LLVM gives up unrolling a tile of
//! 8 registers of them and keeps its sums in memory: 3 GFLOP/s instead of 115.
#![allow(unsafe_code)]

use crate::kernels::simd::{Baseline, Fma};

/// Floats that one instruction works on.
pub(super) trait Vector: Copy {
    const LANES: usize;

    fn splat(x: f32) -> Self;

    /// The first `LANES` floats of `from`.
    fn load(from: &[f32]) -> Self;

    /// To the first `LANES` floats of `to`.
    fn store(self, to: &mut [f32]);

    /// `self + a · b`.
    fn plus_product(self, a: Self, b: Self) -> Self;

    /// The larger of each two, and `other` where either is NaN.
    fn max(self, other: Self) -> Self;

    /// The sum of the lanes.
    fn sum(self) -> f32;
}

impl Vector for [f32; 4] {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        [x; 4]
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        *from.first_chunk().unwrap()
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        *to.first_chunk_mut().unwrap() = self;
    }

    #[inline(always)]
    fn plus_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..4 {
            self[i] = Baseline::fma(a[i], b[i], self[i]);
        }
        self
    }

    #[inline(always)]
    fn max(mut self, other: Self) -> Self {
        for i in 0..4 {
            self[i] = if self[i] > other[i] { self[i] } else { other[i] };
        }
        self
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d] = self;
        (a + c) + (b + d)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($vector:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $fma:ident, $max:ident, $sum:ident) => {
            impl Vector for $vector {
                const LANES: usize = $lanes;

                #[inline(always)]
                fn splat(x: f32) -> Self {
                    // SAFETY: this vector is only used in functions compiled for its features,
                    // which are called where detection found them.
                    unsafe { $splat(x) }
                }

                #[inline(always)]
                fn load(from: &[f32]) -> Self {
                    let from: &[f32; $lanes] = from.first_chunk().unwrap();
                    // SAFETY: as in `splat`; `from` has as many floats as are loaded.
                    unsafe { $load(from.as_ptr()) }
                }

                #[inline(always)]
                fn store(self, to: &mut [f32]) {
                    let to: &mut [f32; $lanes] = to.first_chunk_mut().unwrap();
                    // SAFETY: as in `splat`; `to` has room for as many floats as are stored.
                    unsafe { $store(to.as_mut_ptr(), self) }
                }

                #[inline(always)]
                fn plus_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as in `splat`.
                    unsafe { $fma(a, b, self) }
                }

                #[inline(always)]
                fn max(self, other: Self) -> Self {
                    // SAFETY: as in `splat`.
                    unsafe { $max(self, other) }
                }

                #[inline(always)]
                fn sum(self) -> f32 {
                    // SAFETY: as in `splat`.
                    unsafe { $sum(self) }
                }
            }
        };
    }

    #[rustfmt::skip]
    vector!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_max_ps, sum_256);
    #[rustfmt::skip]
    vector!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_max_ps, _mm512_reduce_add_ps);

    #[target_feature(enable = "avx")]
    #[inline]
    fn sum_256(v: __m256) -> f32 {
        let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// Turns a generic kernel `body::<V: Vector, const P: usize>(args)` into `name(level, args)`, as
/// [`multiversion!`](crate::kernels::simd::multiversion) does for arrays. `P` registers of `V` hold
/// all lanes.
macro_rules! with_vectors {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name(level: $crate::kernels::simd::Level, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::simd::Level;
                use std::arch::x86_64::{__m256, __m512};

                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    $body::<__m256, 2>($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) {
                    $body::<__m512, 1>($($arg),*)
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
            $body::<[f32; 4], 4>($($arg),*)
        }
    };
}
pub(super) use with_vectors;
