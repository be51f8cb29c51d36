//! Registers of floats. Plain arrays would read better, but LLVM gives up unrolling a tile of 8
//! registers of them and keeps its sums in memory: 3 GFLOP/s instead of 115.
#![allow(unsafe_code)]
// The loops over constant ranges are unrolled; over iterators they need not be.
#![allow(clippy::needless_range_loop)]

use super::simd::{Baseline, Fma};

/// The most floats of a [`Vector`].
const MOST_LANES: usize = 16;

/// Floats that are worked on together: a register, or an array of registers.
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

    /// The larger of each two, and `other` where either is NaN.
    fn max(self, other: Self) -> Self;

    /// The sum of the lanes.
    fn sum(self) -> f32;

    /// Up to `LANES` floats, and zeros behind them.
    #[inline(always)]
    fn load_some(from: &[f32]) -> Self {
        if from.len() >= Self::LANES {
            return Self::load(from);
        }
        let mut lanes = [0.0; MOST_LANES];
        lanes[..from.len()].copy_from_slice(from);
        Self::load(&lanes)
    }

    /// To as many floats as there is space for, up to `LANES`.
    #[inline(always)]
    fn store_some(self, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            return self.store(to);
        }
        let mut lanes = [0.0; MOST_LANES];
        self.store(&mut lanes);
        to.copy_from_slice(&lanes[..to.len()]);
    }
}

/// What the target's baseline has: SSE2 or NEON.
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
        let ([a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]) = (a, b, self);
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

    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d] = self;
        (a + c) + (b + d)
    }
}

/// Several registers as one vector.
impl<V: Vector, const P: usize> Vector for [V; P] {
    const LANES: usize = P * V::LANES;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        [V::splat(x); P]
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        let from = &from[..Self::LANES];
        let mut registers = [V::splat(0.0); P];
        for p in 0..P {
            registers[p] = V::load(&from[p * V::LANES..]);
        }
        registers
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        let to = &mut to[..Self::LANES];
        for p in 0..P {
            self[p].store(&mut to[p * V::LANES..]);
        }
    }

    #[inline(always)]
    fn plus_product(mut self, a: Self, b: Self) -> Self {
        for p in 0..P {
            self[p] = self[p].plus_product(a[p], b[p]);
        }
        self
    }

    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        for p in 0..P {
            self[p] = self[p].plus(other[p]);
        }
        self
    }

    #[inline(always)]
    fn max(mut self, other: Self) -> Self {
        for p in 0..P {
            self[p] = self[p].max(other[p]);
        }
        self
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let mut sum = self[0];
        for p in 1..P {
            sum = sum.plus(self[p]);
        }
        sum.sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    macro_rules! vector {
        ($vector:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $max:ident, $sum:ident) => {
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

                #[inline(always)]
                fn sum(self) -> f32 {
                    // SAFETY: as in `splat`.
                    unsafe { $sum(self) }
                }
            }
        };
    }

    #[rustfmt::skip]
    vector!(__m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_max_ps, sum_256);
    #[rustfmt::skip]
    vector!(__m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_max_ps, _mm512_reduce_add_ps);

    #[target_feature(enable = "avx")]
    #[inline]
    fn sum_256(v: __m256) -> f32 {
        let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// Turns a kernel that is generic over [`Vector`] into `name(level, args)`, as
/// [`multiversion!`](super::simd::multiversion) does for arrays. In the generic arguments of the body,
/// `V` is the level's register, of which `P` hold 16 floats.
///
/// ```text
/// with_vectors! { fn scale(a: f32, x: &mut [f32]) = scale_body::<V> }
/// with_vectors! { fn scale(a: f32, x: &mut [f32]) = scale_body::<[V; P]> }
/// ```
macro_rules! with_vectors {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:expr) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $vis fn $name(level: $crate::kernels::simd::Level, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::kernels::simd::Level;

                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    #[allow(dead_code)]
                    const P: usize = 2;
                    type V = std::arch::x86_64::__m256;
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) {
                    #[allow(dead_code)]
                    const P: usize = 1;
                    type V = std::arch::x86_64::__m512;
                    $body($($arg),*)
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
            #[allow(dead_code)]
            const P: usize = 4;
            type V = [f32; 4];
            $body($($arg),*)
        }
    };
}
pub(super) use with_vectors;
