//! `y = Aᵀ[U ⊙ V]A` of a block of tiles, `V = Bᵀ x B`.

use super::matrices::Matrices;
use super::product::{PACK, Packed, by_chunks};
use super::tiling::{Tiling, gather};
use super::transform::sandwich;
use super::{Algorithm, F25, F43, GAP, PRODUCTS, SIDE};
use super::{LANES, Lanes};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};
use std::ops::Range;

/// What all tasks of a convolution share.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) tiling: Tiling,
    /// Channels and filters.
    pub(super) dims: [usize; 2],
    pub(super) x: &'a [f32],
    pub(super) u: &'a [Packed],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
}

/// Most tiles of a task. Their transforms take 3.5 MB at 384 channels and are read once for each
/// block of filters, from the third-level cache; all the weights, 21 MB at 384 filters, are read
/// once for them. Half of this is 4 % slower.
const TASK_TILES: usize = 64;

/// Small batches are cut into as many tasks, unless these would be smaller than a register tile.
const TASKS: usize = 8;

/// Rows of tiles of a task.
pub(super) fn rows_a_task(n: usize, tiling: &Tiling) -> usize {
    let [down, across] = tiling.tiles;
    let tiles = (n * down * across).div_ceil(TASKS).clamp(12, TASK_TILES);
    (tiles / across).max(1)
}

/// Halves the rows of tiles, and `y` with them, until they are a task.
pub(super) fn split(level: Level, job: &Job<'_>, task: usize, rows: Range<usize>, y: &mut [f32]) {
    let [down, across] = job.tiling.tiles;
    let [oh, ow] = job.tiling.output;
    let [_, f] = job.dims;
    let first_pixels = |row: usize| row / down * oh + row % down * job.algorithm.outputs();
    let start = first_pixels(rows.start);
    if rows.len() > task {
        let middle = rows.start + rows.len().div_ceil(task) / 2 * task;
        let (above, below) = y.split_at_mut((first_pixels(middle) - start) * ow * f);
        rayon::join(
            || split(level, job, task, rows.start..middle, above),
            || split(level, job, task, middle..rows.end, below),
        );
    } else {
        block(level, job, rows.start * across..rows.end * across, start, y);
    }
}

/// Computes the tiles `tiles`. `y` starts with the row of pixels `start`, counted over all images.
fn block(level: Level, job: &Job<'_>, tiles: Range<usize>, start: usize, y: &mut [f32]) {
    let [c, _] = job.dims;
    let count = tiles.len();
    let chunks = c.div_ceil(LANES);
    let depth = chunks * LANES;
    let (v, m) = (PRODUCTS * (count * depth + GAP * LANES), PRODUCTS * count * PACK);
    with_scratch(v + m, |scratch| {
        let (v, m) = scratch.split_at_mut(v);
        let v = v.as_chunks_mut().0;
        let m = m.as_chunks_mut().0.as_chunks_mut().0;
        inputs(level, job, tiles.clone(), v);
        for (block, u) in job.u.chunks_exact(PRODUCTS * depth).enumerate() {
            // PRODUCTS times (count, depth) · (depth, 32)
            for p in 0..PRODUCTS {
                let v = &v[p * (chunks * count + GAP)..][..chunks * count];
                let u = &u[p * depth..][..depth];
                by_chunks(level, count, v, u, &mut m[p..], PRODUCTS);
            }
            outputs(level, job, block, tiles.clone(), start, m, y);
        }
    });
}

with_vectors! {
    /// `V` of `(36, chunks of channels, tiles, 16)`.
    fn inputs(job: &Job<'_>, tiles: Range<usize>, v: &mut [Lanes]) = inputs_body::<[V; P]>
}

#[inline(always)]
fn inputs_body<V: Vector>(job: &Job<'_>, tiles: Range<usize>, v: &mut [Lanes]) {
    match job.algorithm {
        Algorithm::F43 => inputs_of::<V, 4, 3>(&F43, job, tiles, v),
        Algorithm::F25 => inputs_of::<V, 2, 5>(&F25, job, tiles, v),
    }
}

#[inline(always)]
fn inputs_of<V: Vector, const M: usize, const K: usize>(
    matrices: &Matrices<M, K>,
    job: &Job<'_>,
    tiles: Range<usize>,
    v: &mut [Lanes],
) {
    let [c, _] = job.dims;
    let chunks = c.div_ceil(LANES);
    let count = tiles.len();
    for (at, tile) in tiles.enumerate() {
        let corner = job.tiling.corner(tile, M, job.tiling.before);
        let pixels = corner.pixels(job.tiling.input);
        for chunk in 0..chunks {
            let some = chunk * LANES..c.min((chunk + 1) * LANES);
            let square = gather::<V, SIDE>(job.x, c, some, &pixels);
            let square = sandwich(&matrices.input, &square);
            for i in 0..SIDE {
                for j in 0..SIDE {
                    let start = (i * SIDE + j) * (chunks * count + GAP);
                    square[i][j].store(&mut v[start + chunk * count + at]);
                }
            }
        }
    }
}

with_vectors! {
    /// `y` of one block of filters from the products `m` of `(tiles, 36, 32)`.
    fn outputs(
        job: &Job<'_>,
        block: usize,
        tiles: Range<usize>,
        start: usize,
        m: &[Packed],
        y: &mut [f32],
    ) = outputs_body::<[V; P]>
}

#[inline(always)]
fn outputs_body<V: Vector>(
    job: &Job<'_>,
    block: usize,
    tiles: Range<usize>,
    start: usize,
    m: &[Packed],
    y: &mut [f32],
) {
    match job.algorithm {
        Algorithm::F43 => outputs_of::<V, 4, 3>(&F43, job, block, tiles, start, m, y),
        Algorithm::F25 => outputs_of::<V, 2, 5>(&F25, job, block, tiles, start, m, y),
    }
}

#[inline(always)]
fn outputs_of<V: Vector, const M: usize, const K: usize>(
    matrices: &Matrices<M, K>,
    job: &Job<'_>,
    block: usize,
    tiles: Range<usize>,
    start: usize,
    m: &[Packed],
    y: &mut [f32],
) {
    let [_, f] = job.dims;
    let [oh, ow] = job.tiling.output;
    let floor = if job.relu { 0.0 } else { f32::NEG_INFINITY };
    for (tile, m) in tiles.zip(m.as_chunks::<PRODUCTS>().0) {
        let corner = job.tiling.corner(tile, M, [0, 0]);
        let (row, column) = (corner.row as usize, corner.column as usize);
        let first = (corner.image * oh + row - start) * ow + column;
        for half in 0..PACK / LANES {
            let filter = block * PACK + half * LANES;
            if filter >= f {
                continue;
            }
            let filters = filter..f.min(filter + LANES);
            let mut bias = [0.0; LANES];
            if let Some(all) = job.bias {
                bias[..filters.len()].copy_from_slice(&all[filters.clone()]);
            }
            let mut square = [[V::splat(0.0); SIDE]; SIDE];
            for i in 0..SIDE {
                for j in 0..SIDE {
                    square[i][j] = V::load(&m[i * SIDE + j][half]);
                }
            }
            let square = sandwich(&matrices.output, &square);
            for i in 0..M.min(oh - row) {
                for j in 0..M.min(ow - column) {
                    let mut sums = [0.0; LANES];
                    square[i][j].store(&mut sums);
                    for lane in 0..LANES {
                        let sum = sums[lane] + bias[lane];
                        // Unlike `max`, keeps NaN.
                        sums[lane] = if sum < floor { floor } else { sum };
                    }
                    let y = &mut y[(first + i * ow + j) * f..][filters.clone()];
                    y.copy_from_slice(&sums[..filters.len()]);
                }
            }
        }
    }
}
