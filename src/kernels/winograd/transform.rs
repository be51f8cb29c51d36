//! Sixteen transforms of a square at once, one in each lane.

use crate::kernels::vector::Vector;

/// `matrix · square · matrixᵀ`. The matrix must be a constant where this is inlined: its zeros then
/// cost nothing.
#[inline(always)]
pub(super) fn sandwich<V: Vector, const I: usize, const O: usize>(
    matrix: &[[f32; I]; O],
    square: &[[V; I]; I],
) -> [[V; O]; O] {
    let mut half = [[V::splat(0.0); I]; O];
    for j in 0..I {
        let mut column = [V::splat(0.0); I];
        for k in 0..I {
            column[k] = square[k][j];
        }
        for i in 0..O {
            half[i][j] = dot(&matrix[i], &column);
        }
    }
    let mut result = [[V::splat(0.0); O]; O];
    for i in 0..O {
        for j in 0..O {
            result[i][j] = dot(&matrix[j], &half[i]);
        }
    }
    result
}

#[inline(always)]
fn dot<V: Vector, const N: usize>(row: &[f32; N], x: &[V; N]) -> V {
    let mut sum = V::splat(0.0);
    for k in 0..N {
        if row[k] != 0.0 {
            sum = sum.plus_product(V::splat(row[k]), x[k]);
        }
    }
    sum
}
