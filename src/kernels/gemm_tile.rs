//! The product of two blocks, tile by tile: what [`gemm`](super::gemm) is made of.
//!
//! A tile of `C`, 14 rows by 32 columns with AVX-512, is held in registers while `k` runs: each step
//! loads a row of `B` as vectors and multiplies it by as many broadcast floats of `A` as the tile
//! has rows.

use super::gemm::{Matrix, Write};
use super::simd::{Level, prefetch};
use super::vector::{Vector, with_vectors};
use std::ops::Range;

/// Depth of a block: partial sums are added to `C` every `DEPTH` products. A panel of `A`
/// (14 × 256 floats, 14 KB) stays in L1.
pub(super) const DEPTH: usize = 256;

/// Columns of a block.
pub(super) const WIDTH: usize = 384;

/// Floats of a block of `B`, whatever its depth and width: 384 KB, which stay in L2.
pub(super) const AREA: usize = DEPTH * WIDTH;

/// The tallest and the widest tile of any level.
const MOST_ROWS: usize = 14;
pub(super) const MOST_COLS: usize = 32;

/// Packed rows of `A` would be 1 KB apart and crowd into a few sets of the L1 cache.
const PACKED_ROW: usize = DEPTH + 16;

/// Rows of `B` that are packed together: as many streams as the processor can follow.
const ROWS_TOGETHER: usize = 8;

/// Floats of a cache line.
const LINE: usize = 16;

/// Floats of scratch space that [`block`] needs: a panel of `A`, a tile of `C`, a block of `B`.
pub(super) const SCRATCH: usize = PACKED_A + TILE + AREA;
const PACKED_A: usize = MOST_ROWS * PACKED_ROW;
const TILE: usize = MOST_ROWS * MOST_COLS;

/// Where a product goes. Rows or columns of `C` are contiguous.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) floats: &'a mut [f32],
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

/// Which operands are first copied to where a tile reads them with small strides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pack {
    pub(super) a: bool,
    pub(super) b: bool,
}

impl Pack {
    /// Where the panel of `B` at column `j` is packed, if it is: always when it sticks out of `B`.
    #[inline(always)]
    fn place(self, b: Matrix<'_>, j: usize, width: usize) -> Option<Range<usize>> {
        if self.b {
            Some(j * b.rows..(j + width) * b.rows)
        } else {
            (j + width > b.cols).then_some(0..width * b.rows)
        }
    }
}

/// `C (+)= A · B` for a block: `A` is `(m, k)`, `B` is `(k, n)` of at most [`AREA`] floats in whole panels,
/// and `k` is at most [`DEPTH`] where `A` is packed.
pub(super) fn block(
    level: Level,
    c: &mut Output<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    write: Write,
    pack: Pack,
    scratch: &mut [f32],
) {
    let whole = b.cols.next_multiple_of(MOST_COLS);
    assert!(a.cols == b.rows && b.rows * whole <= AREA, "{a:?} · {b:?}");
    assert!(a.cols <= DEPTH || !pack.a, "packing {a:?}");
    let (packed_a, scratch) = scratch.split_at_mut(PACKED_A);
    let (tile, packed_b) = scratch.split_at_mut(TILE);
    run(level, &mut Job { c, a, b, write, pack, packed_a, tile, packed_b });
}

with_vectors! { fn run(job: &mut Job<'_, '_>) = Job::run::<V, { ROWS[P] }> }

/// Rows of a tile two registers wide by how many registers hold 16 floats: one of AVX-512, which has 32
/// of them, two of AVX2, which has 16, four of the baseline.
const ROWS: [usize; 5] = [0, MOST_ROWS, 6, 0, 4];

struct Job<'a, 'c> {
    c: &'a mut Output<'c>,
    a: Matrix<'a>,
    b: Matrix<'a>,
    write: Write,
    pack: Pack,
    packed_a: &'a mut [f32],
    tile: &'a mut [f32],
    packed_b: &'a mut [f32],
}

/// Cuts `n` columns into panels two registers wide, and one if no more is left; the last may stick out.
#[inline(always)]
fn panels<V: Vector>(n: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = move |j: usize| if n - j > V::LANES { 2 * V::LANES } else { V::LANES };
    (0..n).step_by(2 * V::LANES).map(move |j| (j, width(j)))
}

impl Job<'_, '_> {
    /// The whole block in tiles of `R` rows and two registers, and what is left over in smaller ones.
    #[inline(always)]
    fn run<V: Vector, const R: usize>(&mut self) {
        self.pack_b::<V>();
        let mut i = self.rows::<V, R>(0);
        if R > 8 {
            i = self.rows::<V, 8>(i);
        }
        if R > 4 {
            i = self.rows::<V, 4>(i);
        }
        i = self.rows::<V, 2>(i);
        self.rows::<V, 1>(i);
    }

    /// All tiles of `R` rows from row `i` on; returns the first row they leave.
    #[inline(always)]
    fn rows<V: Vector, const R: usize>(&mut self, mut i: usize) -> usize {
        while i + R <= self.a.rows {
            let panel = self.a.block(i..i + R, 0..self.a.cols);
            if panel.col_stride == 1 {
                self.row_panel::<V, false, R>(i, panel);
            } else {
                self.row_panel::<V, true, R>(i, panel);
            }
            i += R;
        }
        i
    }

    /// A panel of `R` rows of `A` times all of `B`.
    #[inline(always)]
    fn row_panel<V: Vector, const K_MAJOR: bool, const R: usize>(
        &mut self,
        i: usize,
        a: Matrix<'_>,
    ) {
        let [k, n] = [self.a.cols, self.b.cols];
        let (a, a_stride) = match (self.pack.a, K_MAJOR) {
            (true, false) => (pack_rows(self.packed_a, a), PACKED_ROW),
            (true, true) => (pack_cols::<R>(self.packed_a, a), R),
            (false, false) => (a.floats, a.row_stride),
            (false, true) => (a.floats, a.col_stride),
        };
        for (j, width) in panels::<V>(n) {
            let (b, b_stride) = match self.pack.place(self.b, j, width) {
                Some(place) => (&self.packed_b[place], width),
                None => (&self.b.floats[j..], self.b.row_stride),
            };
            let to = self.c.part(i, j, width.min(n - j), self.write);
            if width > V::LANES {
                let sums = tile::<V, K_MAJOR, R, 2>(k, a, a_stride, b, b_stride);
                to.store(&sums, self.tile);
            } else {
                let sums = tile::<V, K_MAJOR, R, 1>(k, a, a_stride, b, b_stride);
                to.store(&sums, self.tile);
            }
        }
    }

    /// Copies panels of `B` to where their rows are next to each other, some rows of all panels at a time,
    /// so that memory is read in order. Lanes beyond the last column hold anything: what they sum up to is
    /// not stored.
    #[inline(always)]
    fn pack_b<V: Vector>(&mut self) {
        let [k, n] = [self.b.rows, self.b.cols];
        let is_transposed = self.b.col_stride != 1;
        let together = if is_transposed { LINE } else { ROWS_TOGETHER };
        for start in (0..k).step_by(together) {
            let rows = start..k.min(start + together);
            for (j, width) in panels::<V>(n) {
                let Some(place) = self.pack.place(self.b, j, width) else { continue };
                let cols = width.min(n - j);
                let part = self.b.block(rows.clone(), j..j + cols);
                let packed = &mut self.packed_b[place][start * width..];
                if is_transposed {
                    for j in 0..cols {
                        let column = &part.floats[j * part.col_stride..][..part.rows];
                        let packed = packed[j..].iter_mut().step_by(width);
                        packed.zip(column).for_each(|(packed, &float)| *packed = float);
                    }
                } else {
                    let packed = packed.chunks_exact_mut(width).take(part.rows);
                    for (k, packed) in packed.enumerate() {
                        prefetch(part.floats, (k + ROWS_TOGETHER) * part.row_stride);
                        copy_row(packed, &part.floats[k * part.row_stride..]);
                    }
                }
            }
        }
    }
}

/// Copies as much as there is, by vectors: a row of a few floats is not worth a call of `memcpy`.
#[inline(always)]
fn copy_row(to: &mut [f32], from: &[f32]) {
    let from = &from[..from.len().min(to.len())];
    let (vectors, rest) = from.as_chunks::<8>();
    let (to_vectors, _) = to.as_chunks_mut::<8>();
    for (to, from) in to_vectors.iter_mut().zip(vectors) {
        *to = *from;
    }
    to[from.len() - rest.len()..from.len()].copy_from_slice(rest);
}

/// Copies rows of `A` to where they are [`PACKED_ROW`] apart.
#[inline(always)]
fn pack_rows<'a>(packed: &'a mut [f32], a: Matrix<'_>) -> &'a [f32] {
    for (i, packed) in packed.chunks_exact_mut(PACKED_ROW).take(a.rows).enumerate() {
        packed[..a.cols].copy_from_slice(&a.floats[i * a.row_stride..][..a.cols]);
    }
    packed
}

/// Copies columns of `A`, each `R` floats, to where they are next to each other.
#[inline(always)]
fn pack_cols<'a, const R: usize>(packed: &'a mut [f32], a: Matrix<'_>) -> &'a [f32] {
    for (k, packed) in packed.chunks_exact_mut(R).take(a.cols).enumerate() {
        packed.copy_from_slice(&a.floats[k * a.col_stride..][..R]);
    }
    packed
}

/// `R` rows of `A` times `W` registers of columns of `B`. Column `k` of `A` is either contiguous
/// (`K_MAJOR`) or its floats are `a_stride` apart.
#[inline(always)]
#[allow(unsafe_code, clippy::needless_range_loop)]
fn tile<V: Vector, const K_MAJOR: bool, const R: usize, const W: usize>(
    depth: usize,
    a: &[f32],
    a_stride: usize,
    b: &[f32],
    b_stride: usize,
) -> [[V; W]; R] {
    let mut sums = [[V::splat(0.0); W]; R];
    if depth == 0 {
        return sums;
    }
    let [last, other] = [depth - 1, R - 1];
    assert!(b.len() >= last * b_stride + W * V::LANES);
    assert!(a.len() > if K_MAJOR { last * a_stride + other } else { other * a_stride + last });
    for k in 0..depth {
        // SAFETY: `k <= last`, so that the row ends within the length asserted above.
        let row = unsafe { b.get_unchecked(k * b_stride..k * b_stride + W * V::LANES) };
        if K_MAJOR {
            prefetch(a, (k + depth) * a_stride);
        }
        for i in 0..R {
            let at = if K_MAJOR { k * a_stride + i } else { i * a_stride + k };
            // SAFETY: `k <= last` and `i <= other`, so that `at` is within the length asserted above.
            let x = V::splat(unsafe { *a.get_unchecked(at) });
            for j in 0..W {
                sums[i][j] = sums[i][j].plus_product(x, V::load(&row[j * V::LANES..]));
            }
        }
    }
    sums
}

impl Output<'_> {
    /// The part of `cols` columns from row `i` and column `j` on.
    #[inline(always)]
    fn part(&mut self, i: usize, j: usize, cols: usize, write: Write) -> Part<'_> {
        let Output { row_stride, col_stride, .. } = *self;
        let floats = &mut self.floats[i * row_stride + j * col_stride..];
        Part { floats, cols, row_stride, col_stride, write }
    }
}

struct Part<'a> {
    floats: &'a mut [f32],
    cols: usize,
    row_stride: usize,
    col_stride: usize,
    write: Write,
}

impl Part<'_> {
    /// Stores a tile or adds it. One that does not fit as it is goes through `spill`: loops of
    /// variable length over `sums` itself would keep it in memory while it is summed up.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn store<V: Vector, const R: usize, const W: usize>(
        self,
        sums: &[[V; W]; R],
        spill: &mut [f32],
    ) {
        let width = W * V::LANES;
        if self.cols == width && self.col_stride == 1 {
            for i in 0..R {
                let row = &mut self.floats[i * self.row_stride..][..width];
                for j in 0..W {
                    let to = &mut row[j * V::LANES..];
                    match self.write {
                        Write::Overwrite => sums[i][j].store(to),
                        Write::Add => V::load(to).plus(sums[i][j]).store(to),
                    }
                }
            }
            return;
        }
        for i in 0..R {
            for j in 0..W {
                sums[i][j].store(&mut spill[i * width + j * V::LANES..]);
            }
        }
        for i in 0..R {
            for j in 0..self.cols {
                let c = &mut self.floats[i * self.row_stride + j * self.col_stride];
                let sum = spill[i * width + j];
                *c = if self.write == Write::Add { *c + sum } else { sum };
            }
        }
    }
}
