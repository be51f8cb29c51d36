//! `U = G w Gᵀ`: the weights of the products.

use super::matrices::Matrices;
use super::product::{PACK, Packed};
use super::transform::sandwich;
use super::{Algorithm, F25, F43, PRODUCTS, SIDE};
use super::{LANES, Lanes};
use crate::kernels::vector::{Vector, with_vectors};

with_vectors! {
    /// `(k, k, c, f)` to one block of filters of `(36, channels, 32)`, where the channels are filled
    /// up with zeros.
    pub(super) fn transform(
        algorithm: Algorithm,
        turned: bool,
        dims: [usize; 2],
        block: usize,
        w: &[f32],
        u: &mut [Packed],
    ) = transform_body::<[V; P]>
}

#[inline(always)]
fn transform_body<V: Vector>(
    algorithm: Algorithm,
    turned: bool,
    dims: [usize; 2],
    block: usize,
    w: &[f32],
    u: &mut [Packed],
) {
    match algorithm {
        Algorithm::F43 => squares::<V, 4, 3>(&F43, turned, dims, block, w, u),
        Algorithm::F25 => squares::<V, 2, 5>(&F25, turned, dims, block, w, u),
    }
}

#[inline(always)]
fn squares<V: Vector, const M: usize, const K: usize>(
    matrices: &Matrices<M, K>,
    turned: bool,
    dims: [usize; 2],
    block: usize,
    w: &[f32],
    u: &mut [Packed],
) {
    let [c, f] = dims;
    let channels = u.len() / PRODUCTS;
    for channel in 0..channels {
        for half in 0..PACK / LANES {
            let first = block * PACK + half * LANES;
            let mut taps = [[V::splat(0.0); K]; K];
            if channel < c && first < f {
                let lanes = LANES.min(f - first);
                for i in 0..K {
                    for j in 0..K {
                        taps[i][j] = if turned {
                            let w = &w[((K - 1 - i) * K + K - 1 - j) * c * f..][..c * f];
                            V::load(&strided(&w[first * c + channel..], c, lanes))
                        } else {
                            let w = &w[(i * K + j) * c * f..][..c * f];
                            V::load_some(&w[channel * f + first..][..lanes])
                        };
                    }
                }
            }
            let square = sandwich::<V, K, _>(&matrices.weights, &taps);
            for i in 0..SIDE {
                for j in 0..SIDE {
                    square[i][j].store(&mut u[(i * SIDE + j) * channels + channel][half]);
                }
            }
        }
    }
}

#[inline(always)]
fn strided(floats: &[f32], stride: usize, count: usize) -> Lanes {
    let mut lanes = [0.0; LANES];
    for (lane, &float) in lanes.iter_mut().zip(floats.iter().step_by(stride)).take(count) {
        *lane = float;
    }
    lanes
}
