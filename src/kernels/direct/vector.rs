//! One register of floats. Plain arrays would read better, but LLVM gives up unrolling a tile of 28
//! registers of them and keeps its sums in memory: 5 GFLOP/s instead of 100.
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

    fn plus(self, other: Self) -> Self;

    /// The larger of each two, `other` where one is NaN.
    fn max(self, other: Self) -> Self;
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
    fn plus_product(self, a: Self, b: Self) -> Self {
        let [a0, a1, a2, a3] = a;
        let [b0, b1, b2, b3] = b;
        let [c0, c1, c2, c3] = self;
        let fma = Baseline::fma;
        [fma(a0, b0, c0), fma(a1, b1, c1), fma(a2, b2, c2), fma(a3, b3, c3)]
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self, other);
        [a0 + b0, a1 + b1, a2 + b2, a3 + b3]
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (self, other);
        let larger = |a, b| if a > b { a } else { b };
        [larger(a0, b0), larger(a1, b1), larger(a2, b2), larger(a3, b3)]
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    macro_rules! vector {
        ($vector:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $max:ident) => {
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
                fn plus(self, other: Self) -> Self {
                    // SAFETY: as in `splat`.
                    unsafe { $add(self, other) }
                }

                #[inline(always)]
                fn max(self, other: Self) -> Self {
                    // SAFETY: as in `splat`.
                    unsafe { $max(self, other) }
                }
            }
        };
    }

    #[rustfmt::skip]
    vector!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_max_ps);
    #[rustfmt::skip]
    vector!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_max_ps);
}
