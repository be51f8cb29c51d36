//! The constant matrices, made from the points at compile time.
//!
//! A product of polynomials of degrees `m - 1` and `k - 1` is known from its values at
//! `m + k - 1` points, and a value of the product is one product of values. The transposed
//! statement computes `m` outputs of a correlation with `k` taps in as many products:
//! `y = Aᵀ[(G w) ⊙ (Bᵀ x)]` (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks").

use super::SIDE;

/// The finite points; the last one is infinity. Of the sets `0, ±p, ±q` tried (small fractions
/// from 1/2 to 2), this one rounds best: its errors are a third of those of the usual
/// `0, ±1, ±2`. Points in pairs make a quarter of the entries zero.
const POINTS: [f64; SIDE - 1] = [0.0, 2.0 / 3.0, -2.0 / 3.0, 1.5, -1.5];

/// The matrices for `M × M` outputs of a `K × K` kernel, `M + K - 1 = SIDE`.
pub(super) struct Matrices<const M: usize, const K: usize> {
    /// `Bᵀ`, of the image.
    pub(super) input: [[f32; SIDE]; SIDE],
    /// `G`, of the weights, and its transpose.
    pub(super) weights: [[f32; K]; SIDE],
    pub(super) weights_back: [[f32; SIDE]; K],
    /// `Aᵀ`, of the products, and its transpose.
    pub(super) output: [[f32; SIDE]; M],
    pub(super) output_back: [[f32; M]; SIDE],
}

impl<const M: usize, const K: usize> Matrices<M, K> {
    pub(super) const fn new() -> Self {
        assert!(M + K - 1 == SIDE);
        let (weights, output_back) = (powers(), powers());
        Self {
            input: interpolation(),
            weights,
            weights_back: transposed(weights),
            output: transposed(output_back),
            output_back,
        }
    }
}

/// The values of the `N` monomials at each point: row `(1, p, p², …)`; at infinity, the last alone.
const fn powers<const N: usize>() -> [[f32; N]; SIDE] {
    let mut rows = [[0.0; N]; SIDE];
    rows[SIDE - 1][N - 1] = 1.0;
    let mut row = 0;
    while row < SIDE - 1 {
        let (mut power, mut j) = (1.0, 0);
        while j < N {
            rows[row][j] = power as f32;
            power *= POINTS[row];
            j += 1;
        }
        row += 1;
    }
    rows
}

/// Row by row the coefficients, lowest first, of the polynomial that is one at its own point and
/// zero at the others; for infinity, the one that is zero at all finite points.
const fn interpolation() -> [[f32; SIDE]; SIDE] {
    let mut rows = [[0.0; SIDE]; SIDE];
    let mut row = 0;
    while row < SIDE {
        let mut polynomial = [0.0; SIDE];
        polynomial[0] = 1.0;
        let (mut scale, mut other) = (1.0, 0);
        while other < SIDE - 1 {
            if other != row {
                let mut power = SIDE;
                while power > 0 {
                    power -= 1;
                    let lower = if power == 0 { 0.0 } else { polynomial[power - 1] };
                    polynomial[power] = lower - POINTS[other] * polynomial[power];
                }
                if row < SIDE - 1 {
                    scale *= POINTS[row] - POINTS[other];
                }
            }
            other += 1;
        }
        let mut j = 0;
        while j < SIDE {
            rows[row][j] = (polynomial[j] / scale) as f32;
            j += 1;
        }
        row += 1;
    }
    rows
}

const fn transposed<const R: usize, const C: usize>(matrix: [[f32; C]; R]) -> [[f32; R]; C] {
    let mut result = [[0.0; R]; C];
    let mut i = 0;
    while i < R * C {
        result[i % C][i / C] = matrix[i / C][i % C];
        i += 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every output is the sum of the products of taps and inputs that lie on one another, and of
    /// no others.
    fn check_identity<const M: usize, const K: usize>() {
        let matrices = Matrices::<M, K>::new();
        for output in 0..M {
            for tap in 0..K {
                for input in 0..SIDE {
                    let sum: f64 = (0..SIDE)
                        .map(|p| {
                            f64::from(matrices.output[output][p])
                                * f64::from(matrices.weights[p][tap])
                                * f64::from(matrices.input[p][input])
                        })
                        .sum();
                    let expected = f64::from(input == output + tap);
                    assert!((sum - expected).abs() < 5e-7, "{output} {tap} {input}: {sum}");
                }
            }
        }
        assert_eq!(matrices.weights_back[0][1], matrices.weights[1][0]);
        assert_eq!(matrices.output_back[1][0], matrices.output[0][1]);
    }

    #[test]
    fn matrices_compute_a_correlation() {
        check_identity::<4, 3>();
        check_identity::<2, 5>();
    }

    #[test]
    fn points_in_pairs_leave_zeros() {
        let zeros =
            Matrices::<4, 3>::new().input.as_flattened().iter().filter(|&&x| x == 0.0).count();
        assert_eq!(zeros, 14);
    }
}
