//! `dw = Gᵀ[Σ V Δ]G` of a block of channels and filters, `V = Bᵀ x B` and `Δ = A dy Aᵀ`, the sum
//! over all tiles of all images.

use super::LANES;
use super::matrices::Matrices;
use super::product::{PACK, Packed, transposed};
use super::tiling::{Tiling, gather};
use super::transform::sandwich;
use super::{Algorithm, F25, F43, GAP, PRODUCTS, SIDE};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};
use ndarray::{ArrayViewMut3, Axis, s};
use std::ops::Range;

/// Tiles whose transforms are held at a time. From 96 on the loads and stores of the sums do not
/// show; then transforms and sums take 8 MB at most.
const DEPTH: usize = 96;

/// Most channels and most filters of a task. A tile is transformed anew for each task: with 96 and 64
/// that takes a quarter of the time.
const TASK_CHANNELS: usize = 128;
const TASK_FILTERS: usize = 192;

/// Few channels and filters are cut into as many tasks, so that there is one for each core.
const TASKS: usize = 4;

/// Most channels and filters of a task.
pub(super) fn task_size([c, f]: [usize; 2]) -> [usize; 2] {
    let filters = f.div_ceil(TASKS.div_ceil(c.div_ceil(TASK_CHANNELS)));
    [TASK_CHANNELS, filters.next_multiple_of(PACK).min(TASK_FILTERS)]
}

#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) tiling: Tiling,
    /// Images, channels and filters.
    pub(super) dims: [usize; 3],
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
}

/// Halves the channels, then the filters, of `dw` as `(k·k, c, f)` until they are a task.
pub(super) fn split(
    level: Level,
    job: &Job<'_>,
    most: [usize; 2],
    channels: Range<usize>,
    filters: Range<usize>,
    dw: ArrayViewMut3<'_, f32>,
) {
    let middle = |range: &Range<usize>| (range.len() / 2).next_multiple_of(PACK);
    if channels.len() > most[0] {
        let half = middle(&channels);
        let (low, high) = dw.split_at(Axis(1), half);
        let half = channels.start + half;
        rayon::join(
            || split(level, job, most, channels.start..half, filters.clone(), low),
            || split(level, job, most, half..channels.end, filters.clone(), high),
        );
    } else if filters.len() > most[1] {
        let half = middle(&filters);
        let (low, high) = dw.split_at(Axis(2), half);
        let half = filters.start + half;
        rayon::join(
            || split(level, job, most, channels.clone(), filters.start..half, low),
            || split(level, job, most, channels.clone(), half..filters.end, high),
        );
    } else {
        let c = channels.len().next_multiple_of(LANES);
        let f = filters.len().next_multiple_of(PACK);
        let lens =
            [DEPTH * c + GAP * LANES, DEPTH * f + GAP * PACK, c * f].map(|len| PRODUCTS * len);
        with_scratch(lens.iter().sum(), |scratch| {
            let (v, rest) = scratch.split_at_mut(lens[0]);
            let (delta, sums) = rest.split_at_mut(lens[1]);
            let delta = delta.as_chunks_mut().0.as_chunks_mut().0;
            let sums = sums.as_chunks_mut().0.as_chunks_mut().0;
            let task = Task { channels, filters };
            task.run(level, job, v, delta, sums);
            collect(level, job.algorithm, &task, sums, dw);
        });
    }
}

/// A block of channels and filters.
struct Task {
    channels: Range<usize>,
    filters: Range<usize>,
}

impl Task {
    /// Adds up the products of all tiles.
    fn run(
        &self,
        level: Level,
        job: &Job<'_>,
        v: &mut [f32],
        delta: &mut [Packed],
        sums: &mut [Packed],
    ) {
        let [n, _, _] = job.dims;
        let [down, across] = job.tiling.tiles;
        let rows = self.channels.len().next_multiple_of(LANES);
        let blocks = self.filters.len().div_ceil(PACK);
        let tiles = n * down * across;
        sums.fill([[0.0; LANES]; PACK / LANES]);
        for first in (0..tiles).step_by(DEPTH) {
            let count = DEPTH.min(tiles - first);
            inputs(level, job, self, first..first + count, v);
            deltas(level, job, self, first..first + count, delta);
            // PRODUCTS · blocks times (rows, count) · (count, 32)
            for (p, sums) in sums.chunks_exact_mut(blocks * rows).enumerate() {
                let v = &v[p * (count * rows + GAP * LANES)..][..count * rows];
                let delta = &delta[p * (blocks * count + GAP)..][..blocks * count];
                for (delta, sums) in delta.chunks_exact(count).zip(sums.chunks_exact_mut(rows)) {
                    transposed(level, rows, v, delta, sums);
                }
            }
        }
    }
}

with_vectors! {
    /// `V` of `(36, tiles, channels)`.
    fn inputs(job: &Job<'_>, task: &Task, tiles: Range<usize>, v: &mut [f32]) = inputs_body::<[V; P]>
}

#[inline(always)]
fn inputs_body<V: Vector>(job: &Job<'_>, task: &Task, tiles: Range<usize>, v: &mut [f32]) {
    match job.algorithm {
        Algorithm::F43 => inputs_of::<V, 4, 3>(&F43, job, task, tiles, v),
        Algorithm::F25 => inputs_of::<V, 2, 5>(&F25, job, task, tiles, v),
    }
}

#[inline(always)]
fn inputs_of<V: Vector, const M: usize, const K: usize>(
    matrices: &Matrices<M, K>,
    job: &Job<'_>,
    task: &Task,
    tiles: Range<usize>,
    v: &mut [f32],
) {
    let [_, c, _] = job.dims;
    let rows = task.channels.len().next_multiple_of(LANES);
    let count = tiles.len();
    for (at, tile) in tiles.enumerate() {
        let corner = job.tiling.corner(tile, M, job.tiling.before);
        let pixels = corner.pixels(job.tiling.input);
        for channel in (0..rows).step_by(LANES) {
            let first = task.channels.start + channel;
            let some = first..c.min(first + LANES);
            let square = gather::<V, SIDE>(job.x, c, some, &pixels);
            let square = sandwich(&matrices.input, &square);
            for i in 0..SIDE {
                for j in 0..SIDE {
                    let start = (i * SIDE + j) * (count * rows + GAP * LANES);
                    square[i][j].store_some(&mut v[start + at * rows + channel..][..LANES]);
                }
            }
        }
    }
}

with_vectors! {
    /// `Δ` of `(36, blocks of filters, tiles, 32)`.
    fn deltas(job: &Job<'_>, task: &Task, tiles: Range<usize>, delta: &mut [Packed]) = deltas_body::<[V; P]>
}

#[inline(always)]
fn deltas_body<V: Vector>(job: &Job<'_>, task: &Task, tiles: Range<usize>, delta: &mut [Packed]) {
    match job.algorithm {
        Algorithm::F43 => deltas_of::<V, 4, 3>(&F43, job, task, tiles, delta),
        Algorithm::F25 => deltas_of::<V, 2, 5>(&F25, job, task, tiles, delta),
    }
}

#[inline(always)]
fn deltas_of<V: Vector, const M: usize, const K: usize>(
    matrices: &Matrices<M, K>,
    job: &Job<'_>,
    task: &Task,
    tiles: Range<usize>,
    delta: &mut [Packed],
) {
    let [_, _, f] = job.dims;
    let blocks = task.filters.len().div_ceil(PACK);
    let count = tiles.len();
    for (at, tile) in tiles.enumerate() {
        let pixels = job.tiling.corner(tile, M, [0, 0]).pixels(job.tiling.output);
        for block in 0..blocks {
            for half in 0..PACK / LANES {
                let filter = task.filters.start + block * PACK + half * LANES;
                // The last block is filled up: all of a vector may lie behind the last filter.
                let some = filter.min(f)..f.min(filter + LANES);
                let square = gather::<V, M>(job.dy, f, some, &pixels);
                let square = sandwich(&matrices.output_back, &square);
                for i in 0..SIDE {
                    for j in 0..SIDE {
                        let start = (i * SIDE + j) * (blocks * count + GAP);
                        square[i][j].store(&mut delta[start + block * count + at][half]);
                    }
                }
            }
        }
    }
}

with_vectors! {
    /// `dw` from the sums of `(36, blocks of filters, channels, 32)`.
    fn collect(
        algorithm: Algorithm,
        task: &Task,
        sums: &[Packed],
        dw: ArrayViewMut3<'_, f32>,
    ) = collect_body::<[V; P]>
}

#[inline(always)]
fn collect_body<V: Vector>(
    algorithm: Algorithm,
    task: &Task,
    sums: &[Packed],
    dw: ArrayViewMut3<'_, f32>,
) {
    match algorithm {
        Algorithm::F43 => collect_of::<V, 4, 3>(&F43, task, sums, dw),
        Algorithm::F25 => collect_of::<V, 2, 5>(&F25, task, sums, dw),
    }
}

#[inline(always)]
fn collect_of<V: Vector, const M: usize, const K: usize>(
    matrices: &Matrices<M, K>,
    task: &Task,
    sums: &[Packed],
    mut dw: ArrayViewMut3<'_, f32>,
) {
    let rows = task.channels.len().next_multiple_of(LANES);
    let blocks = task.filters.len().div_ceil(PACK);
    for channel in 0..task.channels.len() {
        for filter in (0..task.filters.len()).step_by(LANES) {
            let (block, half) = (filter / PACK, filter % PACK / LANES);
            let filters = filter..task.filters.len().min(filter + LANES);
            let mut square = [[V::splat(0.0); SIDE]; SIDE];
            for i in 0..SIDE {
                for j in 0..SIDE {
                    let at = ((i * SIDE + j) * blocks + block) * rows + channel;
                    square[i][j] = V::load(&sums[at][half]);
                }
            }
            let mut dw = dw.slice_mut(s![.., channel, filters]);
            let taps = sandwich(&matrices.weights_back, &square);
            for i in 0..K {
                for j in 0..K {
                    let mut dw = dw.row_mut(i * K + j);
                    taps[i][j].store_some(dw.as_slice_mut().expect("filters lie side by side"));
                }
            }
        }
    }
}
