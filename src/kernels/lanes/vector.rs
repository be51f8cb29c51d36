//! One number of each of 16 images, in registers. Plain arrays would read better, but LLVM gives up
//! unrolling a tile of 8 of them and keeps its sums in memory: 2.6 GFLOP/s instead of 100.
#![allow(unsafe_code)]

use super::{LANES, Lanes};
use crate::kernels::simd::{Baseline, Fma};

/// 16 floats in as many registers as they need.
pub(super) trait Vector: Copy {
    fn splat(x: f32) -> Self;

    fn load(from: &Lanes) -> Self;

    fn store(self, to: &mut Lanes);

    /// `self + a · b`.
    fn plus_product(self, a: Self, b: Self) -> Self;

    /// 0 where `self` is below it; NaN stays.
    fn relu(self) -> Self;

    /// The sum of the lanes.
    fn sum(self) -> f32;
}

impl Vector for Lanes {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        [x; LANES]
    }

    #[inline(always)]
    fn load(from: &Lanes) -> Self {
        *from
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes) {
        *to = self;
    }

    #[inline(always)]
    fn plus_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..LANES {
            self[i] = Baseline::fma(a[i], b[i], self[i]);
        }
        self
    }

    #[inline(always)]
    fn relu(self) -> Self {
        self.map(|x| if x < 0.0 { 0.0 } else { x })
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        self.iter().sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, Vector};
    use std::arch::x86_64::*;

    impl Vector for __m512 {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: this vector is only used in functions compiled for its features, which are
            // called where detection found them.
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        fn load(from: &Lanes) -> Self {
            // SAFETY: as in `splat`; `from` has as many floats as are loaded.
            unsafe { _mm512_loadu_ps(from.as_ptr()) }
        }

        #[inline(always)]
        fn store(self, to: &mut Lanes) {
            // SAFETY: as in `splat`; `to` has room for as many floats as are stored.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self) }
        }

        #[inline(always)]
        fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as in `splat`.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        fn relu(self) -> Self {
            // SAFETY: as in `splat`. The second operand wins if one is NaN.
            unsafe { _mm512_max_ps(Self::splat(0.0), self) }
        }

        #[inline(always)]
        fn sum(self) -> f32 {
            // SAFETY: as in `splat`.
            unsafe { _mm512_reduce_add_ps(self) }
        }
    }

    /// Written out: `map` over the two would not be inlined, and compiled without the features.
    impl Vector for [__m256; 2] {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY: as for `__m512`.
            [unsafe { _mm256_set1_ps(x) }; 2]
        }

        #[inline(always)]
        fn load(from: &Lanes) -> Self {
            let ([low, high], _) = from.as_chunks::<8>() else { unreachable!() };
            // SAFETY: as for `__m512`.
            let low = unsafe { _mm256_loadu_ps(low.as_ptr()) };
            // SAFETY: as for `__m512`.
            let high = unsafe { _mm256_loadu_ps(high.as_ptr()) };
            [low, high]
        }

        #[inline(always)]
        fn store(self, to: &mut Lanes) {
            let ([low, high], _) = to.as_chunks_mut::<8>() else { unreachable!() };
            // SAFETY: as for `__m512`.
            unsafe { _mm256_storeu_ps(low.as_mut_ptr(), self[0]) };
            // SAFETY: as for `__m512`.
            unsafe { _mm256_storeu_ps(high.as_mut_ptr(), self[1]) };
        }

        #[inline(always)]
        fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as for `__m512`.
            let low = unsafe { _mm256_fmadd_ps(a[0], b[0], self[0]) };
            // SAFETY: as for `__m512`.
            let high = unsafe { _mm256_fmadd_ps(a[1], b[1], self[1]) };
            [low, high]
        }

        #[inline(always)]
        fn relu(self) -> Self {
            let zero = Self::splat(0.0);
            // SAFETY: as for `__m512`.
            let low = unsafe { _mm256_max_ps(zero[0], self[0]) };
            // SAFETY: as for `__m512`.
            let high = unsafe { _mm256_max_ps(zero[1], self[1]) };
            [low, high]
        }

        #[inline(always)]
        fn sum(self) -> f32 {
            let mut sums = [0.0; 8];
            // SAFETY: as for `__m512`.
            let both = unsafe { _mm256_add_ps(self[0], self[1]) };
            // SAFETY: as for `__m512`.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), both) };
            let [a, b, c, d, e, f, g, h] = sums;
            ((a + e) + (c + g)) + ((b + f) + (d + h))
        }
    }
}

/// Turns a generic kernel `body::<V: Vector>(args)` into `name(level, args)`, as
/// [`multiversion!`](crate::kernels::simd::multiversion) does for arrays.
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
                    $body::<[__m256; 2]>($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) {
                    $body::<__m512>($($arg),*)
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
            $body::<$crate::kernels::lanes::Lanes>($($arg),*)
        }
    };
}
pub(super) use with_vectors;
