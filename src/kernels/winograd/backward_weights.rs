//! `dw = Gᵀ[Σ V Δ]G` of a block of channels and filters, `V = Bᵀ x B` and `Δ = A dy Aᵀ`, the sum
//! over all tiles of all images.

use super::matrices::Matrices;
use super::product::{PACK, Packed, transposed};
use super::tiling::{Tiling, gather};
use super::transform::{LANES, sandwich};
use super::{Algorithm, F25, F43, PRODUCTS, SIDE};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::{Fma, Level, multiversion};
use ndarray::{ArrayViewMut3, Axis, s};
use std::ops::Range;

/// Tiles whose transforms are held at a time.
const DEPTH: usize = 64;

/// Most channels and most filters of a task. The more, the less often a tile is transformed; the
/// fewer, the more of the sums stay in the second-level cache.
const TASK_CHANNELS: usize = 128;
const TASK_FILTERS: usize = 128;

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
    channels: Range<usize>,
    filters: Range<usize>,
    dw: ArrayViewMut3<'_, f32>,
) {
    let middle = |range: &Range<usize>| (range.len() / 2).next_multiple_of(PACK);
    if channels.len() > TASK_CHANNELS {
        let half = middle(&channels);
        let (low, high) = dw.split_at(Axis(1), half);
        let half = channels.start + half;
        rayon::join(
            || split(level, job, channels.start..half, filters.clone(), low),
            || split(level, job, half..channels.end, filters.clone(), high),
        );
    } else if filters.len() > TASK_FILTERS {
        let half = middle(&filters);
        let (low, high) = dw.split_at(Axis(2), half);
        let half = filters.start + half;
        rayon::join(
            || split(level, job, channels.clone(), filters.start..half, low),
            || split(level, job, channels.clone(), half..filters.end, high),
        );
    } else {
        let c = channels.len().next_multiple_of(LANES);
        let f = filters.len().next_multiple_of(PACK);
        let lens = [DEPTH * c, DEPTH * f, c * f].map(|len| PRODUCTS * len);
        with_scratch(lens.iter().sum(), |scratch| {
            let (v, rest) = scratch.split_at_mut(lens[0]);
            let (delta, sums) = rest.split_at_mut(lens[1]);
            let delta = delta.as_chunks_mut().0.as_chunks_mut().0;
            let sums = sums.as_chunks_mut().0.as_chunks_mut().0;
            block(level, level == Level::Avx512, job, channels, filters, v, delta, sums, dw);
        });
    }
}

multiversion! {
    /// One task, with the space for the transforms of `DEPTH` tiles and for the sums.
    fn block(
        wide: bool,
        job: &Job<'_>,
        channels: Range<usize>,
        filters: Range<usize>,
        v: &mut [f32],
        delta: &mut [Packed],
        sums: &mut [Packed],
        dw: ArrayViewMut3<'_, f32>,
    ) = block_body
}

#[inline(always)]
fn block_body<F: Fma>(
    wide: bool,
    job: &Job<'_>,
    channels: Range<usize>,
    filters: Range<usize>,
    v: &mut [f32],
    delta: &mut [Packed],
    sums: &mut [Packed],
    dw: ArrayViewMut3<'_, f32>,
) {
    match job.algorithm {
        Algorithm::F43 => run::<F, 4, 3>(wide, &F43, job, channels, filters, v, delta, sums, dw),
        Algorithm::F25 => run::<F, 2, 5>(wide, &F25, job, channels, filters, v, delta, sums, dw),
    }
}

#[inline(always)]
fn run<F: Fma, const M: usize, const K: usize>(
    wide: bool,
    matrices: &Matrices<M, K>,
    job: &Job<'_>,
    channels: Range<usize>,
    filters: Range<usize>,
    v: &mut [f32],
    delta: &mut [Packed],
    sums: &mut [Packed],
    mut dw: ArrayViewMut3<'_, f32>,
) {
    let [n, c, f] = job.dims;
    let [down, across] = job.tiling.tiles;
    let rows = channels.len().next_multiple_of(LANES);
    let blocks = filters.len().div_ceil(PACK);
    let all = n * down * across;
    sums.fill([[0.0; LANES]; PACK / LANES]);

    for first in (0..all).step_by(DEPTH) {
        let count = DEPTH.min(all - first);
        for tile in 0..count {
            let corner = job.tiling.corner(first + tile, M, job.tiling.before);
            let pixels = corner.pixels(job.tiling.input);
            for channel in (0..rows).step_by(LANES) {
                let square = gather(job.x, c, channels.start + channel, &pixels);
                let square = sandwich::<F, _, _>(&matrices.input, &square);
                for (p, lanes) in square.as_flattened().iter().enumerate() {
                    v[(p * count + tile) * rows + channel..][..LANES].copy_from_slice(lanes);
                }
            }
            let corner = job.tiling.corner(first + tile, M, [0, 0]);
            let pixels = corner.pixels(job.tiling.output);
            for part in 0..blocks * (PACK / LANES) {
                let (block, half) = (part / (PACK / LANES), part % (PACK / LANES));
                let square = gather(job.dy, f, filters.start + part * LANES, &pixels);
                let square = sandwich::<F, M, _>(&matrices.output_back, &square);
                for (p, lanes) in square.as_flattened().iter().enumerate() {
                    delta[(p * blocks + block) * count + tile][half] = *lanes;
                }
            }
        }
        // PRODUCTS · blocks times (rows, count) · (count, 32)
        for p in 0..PRODUCTS {
            let v = &v[p * count * rows..][..count * rows];
            for block in p * blocks..(p + 1) * blocks {
                let delta = &delta[block * count..][..count];
                transposed::<F>(wide, rows, v, delta, &mut sums[block * rows..][..rows]);
            }
        }
    }

    for channel in 0..channels.len() {
        for part in 0..filters.len().div_ceil(LANES) {
            let (block, half) = (part / (PACK / LANES), part % (PACK / LANES));
            let mut square = [[[0.0; LANES]; SIDE]; SIDE];
            for (p, lanes) in square.as_flattened_mut().iter_mut().enumerate() {
                *lanes = sums[(p * blocks + block) * rows + channel][half];
            }
            let taps = sandwich::<F, _, _>(&matrices.weights_back, &square);
            let filter = part * LANES;
            let count = LANES.min(filters.len() - filter);
            for (tap, lanes) in taps.as_flattened().iter().enumerate() {
                let mut row = dw.slice_mut(s![tap, channel, filter..filter + count]);
                row.as_slice_mut().expect("rows are contiguous").copy_from_slice(&lanes[..count]);
            }
        }
    }
}
