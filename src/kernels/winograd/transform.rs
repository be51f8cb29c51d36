//! Sixteen transforms of a square at once, one in each lane.

use crate::kernels::simd::Fma;

/// One value of sixteen channels: the widest vector there is, or several narrower ones.
pub(super) type Lanes = [f32; LANES];
pub(super) const LANES: usize = 16;

/// `matrix · square · matrixᵀ`. The matrix must be a constant where this is inlined: its zeros then
/// cost nothing.
#[inline(always)]
pub(super) fn sandwich<F: Fma, const I: usize, const O: usize>(
    matrix: &[[f32; I]; O],
    square: &[[Lanes; I]; I],
) -> [[Lanes; O]; O] {
    let mut half = [[[0.0; LANES]; I]; O];
    for j in 0..I {
        for i in 0..O {
            half[i][j] = dot::<F, I>(&matrix[i], |k| &square[k][j]);
        }
    }
    let mut result = [[[0.0; LANES]; O]; O];
    for i in 0..O {
        for j in 0..O {
            result[i][j] = dot::<F, I>(&matrix[j], |k| &half[i][k]);
        }
    }
    result
}

#[inline(always)]
fn dot<'a, F: Fma, const I: usize>(row: &[f32; I], x: impl Fn(usize) -> &'a Lanes) -> Lanes {
    let mut sum = [0.0; LANES];
    for k in 0..I {
        if row[k] != 0.0 {
            let x = x(k);
            for lane in 0..LANES {
                sum[lane] = F::fma(row[k], x[lane], sum[lane]);
            }
        }
    }
    sum
}

/// Up to sixteen floats, and zeros behind them.
#[inline(always)]
pub(super) fn load(floats: &[f32]) -> Lanes {
    floats.first_chunk().copied().unwrap_or_else(|| {
        let mut lanes = [0.0; LANES];
        lanes[..floats.len()].copy_from_slice(floats);
        lanes
    })
}
