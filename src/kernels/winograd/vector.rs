//! Sixteen floats in registers.
//!
//! LLVM keeps plain arrays in registers for some sizes of tile and not for others, fifty times
//! as slow; these types leave it no choice.

use crate::kernels::simd::{Baseline, Fma};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// One value of sixteen channels in memory.
pub(super) type Lanes = [f32; LANES];
pub(super) const LANES: usize = 16;

/// [`Lanes`] in the registers of one level. Only code compiled for that level, by [`vectorised!`],
/// may name an implementation: that is what makes its instructions safe.
pub(super) trait Vector: Copy {
    /// Whether there are registers for 24 sums.
    const WIDE: bool;

    fn zero() -> Self;
    fn load(lanes: &Lanes) -> Self;
    fn store(self, lanes: &mut Lanes);
    /// `self + a · b`.
    fn add_product(self, a: f32, b: Self) -> Self;

    /// Up to sixteen floats, and zeros behind them.
    #[inline(always)]
    fn load_some(floats: &[f32]) -> Self {
        match floats.first_chunk() {
            Some(lanes) => Self::load(lanes),
            None => {
                let mut lanes = [0.0; LANES];
                lanes[..floats.len()].copy_from_slice(floats);
                Self::load(&lanes)
            }
        }
    }

    /// As many of the floats as there is space for.
    #[inline(always)]
    fn store_some(self, floats: &mut [f32]) {
        match floats.first_chunk_mut() {
            Some(lanes) => self.store(lanes),
            None => {
                let mut lanes = [0.0; LANES];
                self.store(&mut lanes);
                floats.copy_from_slice(&lanes[..floats.len()]);
            }
        }
    }
}

impl Vector for Lanes {
    const WIDE: bool = false;

    #[inline(always)]
    fn zero() -> Self {
        [0.0; LANES]
    }

    #[inline(always)]
    fn load(lanes: &Lanes) -> Self {
        *lanes
    }

    #[inline(always)]
    fn store(self, lanes: &mut Lanes) {
        *lanes = self;
    }

    #[inline(always)]
    fn add_product(mut self, a: f32, b: Self) -> Self {
        for lane in 0..LANES {
            self[lane] = Baseline::fma(a, b[lane], self[lane]);
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
impl Vector for __m512 {
    const WIDE: bool = true;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: code for AVX-512, see `Vector`.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn load(lanes: &Lanes) -> Self {
        // SAFETY: code for AVX-512, see `Vector`, and sixteen floats to read.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, lanes: &mut Lanes) {
        // SAFETY: code for AVX-512, see `Vector`, and space for sixteen floats.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), self) }
    }

    #[inline(always)]
    fn add_product(self, a: f32, b: Self) -> Self {
        // SAFETY: code for AVX-512, see `Vector`.
        let a = unsafe { _mm512_set1_ps(a) };
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
impl Vector for [__m256; 2] {
    const WIDE: bool = false;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: code for AVX2, see `Vector`.
        [unsafe { _mm256_setzero_ps() }; 2]
    }

    #[inline(always)]
    fn load(lanes: &Lanes) -> Self {
        let [low, high] = lanes.as_chunks::<8>().0 else { unreachable!() };
        // SAFETY: code for AVX2, see `Vector`, and eight floats to read.
        [low, high].map(|half| unsafe { _mm256_loadu_ps(half.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, lanes: &mut Lanes) {
        for (half, register) in lanes.as_chunks_mut::<8>().0.iter_mut().zip(self) {
            // SAFETY: code for AVX2, see `Vector`, and space for eight floats.
            unsafe { _mm256_storeu_ps(half.as_mut_ptr(), register) }
        }
    }

    #[inline(always)]
    fn add_product(self, a: f32, b: Self) -> Self {
        // SAFETY: code for AVX2 and FMA, see `Vector`.
        let a = unsafe { _mm256_set1_ps(a) };
        // SAFETY: as above.
        let low = unsafe { _mm256_fmadd_ps(a, b[0], self[0]) };
        // SAFETY: as above.
        let high = unsafe { _mm256_fmadd_ps(a, b[1], self[1]) };
        [low, high]
    }
}

/// [`multiversion!`](crate::kernels::simd::multiversion) for a body generic over [`Vector`]:
/// turns `body::<V>(args)` into `name(level, args)`.
macro_rules! vectorised {
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
            $body::<$crate::kernels::winograd::vector::Lanes>($($arg),*)
        }
    };
}
pub(super) use vectorised;
