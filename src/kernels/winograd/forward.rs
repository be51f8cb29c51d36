//! `y = Aᵀ[U ⊙ V]A` of a block of tiles, `V = Bᵀ x B`.

use super::matrices::Matrices;
use super::product::{PACK, Packed, by_chunks};
use super::tiling::{Tiling, gather};
use super::transform::{LANES, Lanes, sandwich};
use super::{Algorithm, F25, F43, PRODUCTS};
use crate::kernels::simd::{Fma, multiversion};

/// What all tasks of a convolution share.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) wide: bool,
    pub(super) tiling: Tiling,
    /// Channels and filters.
    pub(super) dims: [usize; 2],
    pub(super) x: &'a [f32],
    pub(super) u: &'a [Packed],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
}

multiversion! {
    /// Computes `count` tiles from `first` on. `y` starts at output row `y_start` of all images' rows.
    pub(super) fn block(
        job: &Job<'_>,
        first: usize,
        count: usize,
        y_start: usize,
        v: &mut [Lanes],
        m: &mut [Packed],
        y: &mut [f32],
    ) = block_body
}

#[inline(always)]
fn block_body<F: Fma>(
    job: &Job<'_>,
    first: usize,
    count: usize,
    y_start: usize,
    v: &mut [Lanes],
    m: &mut [Packed],
    y: &mut [f32],
) {
    match job.algorithm {
        Algorithm::F43 => run::<F, 4, 3>(&F43, job, first, count, y_start, v, m, y),
        Algorithm::F25 => run::<F, 2, 5>(&F25, job, first, count, y_start, v, m, y),
    }
}

#[inline(always)]
fn run<F: Fma, const M: usize, const K: usize>(
    matrices: &Matrices<M, K>,
    job: &Job<'_>,
    first: usize,
    count: usize,
    y_start: usize,
    v: &mut [Lanes],
    m: &mut [Packed],
    y: &mut [f32],
) {
    let [c, f] = job.dims;
    let chunks = c.div_ceil(LANES);
    let depth = chunks * LANES;
    let [oh, ow] = job.tiling.output;

    for tile in 0..count {
        let corner = job.tiling.corner(first + tile, M, job.tiling.before);
        let pixels = corner.pixels(job.tiling.input);
        for chunk in 0..chunks {
            let square = gather(job.x, c, chunk * LANES, &pixels);
            let square = sandwich::<F, _, _>(&matrices.input, &square);
            for (p, lanes) in square.as_flattened().iter().enumerate() {
                v[(p * chunks + chunk) * count + tile] = *lanes;
            }
        }
    }

    for (block, u) in job.u.chunks_exact(PRODUCTS * depth).enumerate() {
        // PRODUCTS times (count, depth) · (depth, 32)
        for (p, u) in u.chunks_exact(depth).enumerate() {
            let v = &v[p * chunks * count..][..chunks * count];
            by_chunks::<F>(job.wide, count, v, u, &mut m[p..], PRODUCTS);
        }
        for (tile, m) in m.chunks_exact(PRODUCTS).take(count).enumerate() {
            let corner = job.tiling.corner(first + tile, M, [0, 0]);
            for half in 0..(f - block * PACK).min(PACK).div_ceil(LANES) {
                let filter = block * PACK + half * LANES;
                let lanes = LANES.min(f - filter);
                let mut square = [[[0.0; LANES]; 6]; 6];
                for i in 0..6 {
                    for j in 0..6 {
                        square[i][j] = m[i * 6 + j][half];
                    }
                }
                let mut square = sandwich::<F, _, _>(&matrices.output, &square);
                let mut bias = [0.0; LANES];
                if let Some(from) = job.bias {
                    bias[..lanes].copy_from_slice(&from[filter..][..lanes]);
                }
                let floor = if job.relu { 0.0 } else { f32::NEG_INFINITY };
                for pixel in square.as_flattened_mut() {
                    for lane in 0..LANES {
                        let sum = pixel[lane] + bias[lane];
                        // Unlike `max`, keeps NaN.
                        pixel[lane] = if sum < floor { floor } else { sum };
                    }
                }
                for (i, row) in square.iter().enumerate().take(oh - corner.row as usize) {
                    let row_start = (corner.image * oh + corner.row as usize + i - y_start) * ow;
                    for (j, pixel) in row.iter().enumerate().take(ow - corner.column as usize) {
                        let at = (row_start + corner.column as usize + j) * f + filter;
                        y[at..][..lanes].copy_from_slice(&pixel[..lanes]);
                    }
                }
            }
        }
    }
}
