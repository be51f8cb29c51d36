//! Sixteen transforms of a square at once, one in each lane.

use super::vector::Vector;

/// `matrix · square · matrixᵀ`. The matrix must be a constant where this is inlined: its zeros then
/// cost nothing.
#[inline(always)]
pub(super) fn sandwich<V: Vector, const I: usize, const O: usize>(
    matrix: &[[f32; I]; O],
    square: &[[V; I]; I],
) -> [[V; O]; O] {
    let mut half = [[V::zero(); I]; O];
    for i in 0..O {
        for k in 0..I {
            if matrix[i][k] != 0.0 {
                for j in 0..I {
                    half[i][j] = half[i][j].add_product(matrix[i][k], square[k][j]);
                }
            }
        }
    }
    let mut result = [[V::zero(); O]; O];
    for i in 0..O {
        for j in 0..O {
            for k in 0..I {
                if matrix[j][k] != 0.0 {
                    result[i][j] = result[i][j].add_product(matrix[j][k], half[i][k]);
                }
            }
        }
    }
    result
}
