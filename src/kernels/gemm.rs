//! The product of two matrices.
//!
//! The sum of products behind each float of `C` is taken in an order that the shapes alone decide:
//! blocks of products one after another, and the blocks' sums one after another.

use super::buffer::with_scratch;
use super::gemm_tile::{AREA, DEPTH, MOST_COLS, Output, Pack, SCRATCH, WIDTH, block};
use super::parallel::{CHUNK, Nanoseconds, Worth, bytes, flops};
use super::simd::{Fma, Level, multiversion};
use Write::{Add, Overwrite};
use rayon::prelude::*;
use std::ops::Range;

/// A matrix to read. Its rows are contiguous, or its columns are.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(super) floats: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// All of `floats`, row after row.
    pub(crate) fn new(floats: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(floats.len(), rows * cols, "floats of a {rows} × {cols} matrix");
        Self { floats, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transpose: a flag, nothing is moved.
    pub(crate) fn t(self) -> Self {
        let Self { floats, rows, cols, row_stride, col_stride } = self;
        Self { floats, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// The part where these rows and these columns meet.
    pub(crate) fn block(self, rows: Range<usize>, cols: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {self:?}");
        assert!(cols.start <= cols.end && cols.end <= self.cols, "columns {cols:?} of {self:?}");
        let start = rows.start * self.row_stride + cols.start * self.col_stride;
        let floats = self.floats.get(start..).unwrap_or_default();
        Self { floats, rows: rows.len(), cols: cols.len(), ..self }
    }
}

impl std::fmt::Debug for Matrix<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, cols, row_stride, col_stride, .. } = self;
        write!(f, "{rows} × {cols} floats with strides {row_stride} and {col_stride}")
    }
}

/// So few rows or columns, as a small batch has, leave a product bound by how the large matrix is read
/// or written: whole rows in order are 2 to 3 times as fast as strips of some hundred columns.
const FEW: usize = 64;

/// The most columns of a right operand that is read whole while the left one streams by.
const SOME: usize = 128;

/// Floats of a matrix that do not fit in the 1 MB of a core's L2 cache.
const LARGE: usize = 256 * 1024;

/// Rows of a large matrix that are read together, whole, where its columns are the left operand's
/// rows: with 32 times 4096 floats, 512 KB, the rows below can be prefetched into L2.
const THIN: usize = 32;

/// What becomes of the floats a product is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Overwrite,
    Add,
}

/// `C = A · B` or `C += A · B` on the calling thread. `C` is `(a.rows, b.cols)`, contiguous.
pub(crate) fn gemm(level: Level, c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
    check(c, a, b);
    Way::of(a, b).product(level, c, a, b, write);
}

/// [`gemm`] on as many threads as it is worth, with the same bits on any number of them.
pub(crate) fn par_gemm(level: Level, c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
    let [m, k, n] = check(c, a, b);
    let is_little = flops(2 * m * k * n).is_little();
    let few = match [a.col_stride, b.col_stride] {
        // Else packing `B` pays: for more rows, for such as do not fill registers, and for a wide `B`, of
        // which each row has pages of its own.
        [1, 1] if m.is_multiple_of(8) && n < 2048 => 32,
        [1, 1] => 1,
        [_, 1] => FEW,
        // `B` would have to be transposed to be packed.
        _ => SOME,
    };
    if (2..=few).contains(&m) && k * n >= LARGE && write == Overwrite && !is_little {
        few_rows(level, c, a, b);
    } else {
        split(level, c, a, b, write);
    }
}

/// [`par_gemm`] with the operands as they are.
fn split(level: Level, c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
    let [m, k, n] = check(c, a, b);
    let way = Way::of(a, b);
    let work = flops(2 * m * k * n);
    let are_in_rows = a.col_stride == 1 && b.col_stride == 1;
    // A 16th of the larger side a piece, but not so little that copying the other operand shows.
    let rows = m.div_ceil(16).next_multiple_of(14).max(56);
    let cols = n.div_ceil(16).next_multiple_of(32).max(64);
    let by_depth = |c: &mut [f32], depth| {
        by_depth(c, k, depth, write, work, |c, here| {
            way.product(level, c, a.block(0..m, here.clone()), b.block(here, 0..n), Overwrite);
        });
    };
    if work.is_little() {
        way.product(level, c, a, b, write);
    } else if n <= FEW && m * k >= LARGE && k > m && a.row_stride == 1 && b.col_stride == 1 {
        // An 8th of the columns of `A` a piece: each has a sum as large as `C`.
        by_depth(c, k.div_ceil(8).next_multiple_of(way.depth));
    } else if m <= 2 * SOME && k >= 1024 && k * n >= LARGE && are_in_rows {
        // Whole rows of a large `B` in order: strips of them would lie in too many pages.
        by_depth(c, k.div_ceil(8).next_multiple_of(way.depth));
    } else if m > rows && (m >= n || k <= FEW) {
        c.par_chunks_mut(rows * n).enumerate().worth(work).for_each(|(piece, c)| {
            let here = piece * rows..m.min((piece + 1) * rows);
            way.product(level, c, a.block(here, 0..k), b, write);
        });
    } else if n > cols {
        by_columns(c, n, cols, write, work, |c, here| {
            way.product(level, c, a, b.block(0..k, here), write);
        });
    } else if k > DEPTH && m > 1 {
        by_depth(c, DEPTH);
    } else {
        way.product(level, c, a, b, write);
    }
}

/// The dimensions of the product.
fn check(c: &[f32], a: Matrix<'_>, b: Matrix<'_>) -> [usize; 3] {
    let [m, k, n] = [a.rows, a.cols, b.cols];
    assert!(k == b.rows && c.len() == m * n, "{} floats (+)= {a:?} · {b:?}", c.len());
    [m, k, n]
}

/// Computes `C` in pieces of `cols` columns, each next to one another in scratch space.
fn by_columns(
    c: &mut [f32],
    n: usize,
    cols: usize,
    write: Write,
    work: Nanoseconds,
    product: impl Fn(&mut [f32], Range<usize>) + Sync,
) {
    let m = c.len() / n;
    with_scratch(m * n, |pieces| {
        let read: &[f32] = c;
        pieces.par_chunks_mut(m * cols).enumerate().worth(work).for_each(|(i, piece)| {
            let here = i * cols..n.min((i + 1) * cols);
            if write == Add {
                for (piece, row) in piece.chunks_exact_mut(here.len()).zip(read.chunks_exact(n)) {
                    piece.copy_from_slice(&row[here.clone()]);
                }
            }
            product(piece, here);
        });
        let pieces = &*pieces;
        c.par_chunks_exact_mut(n).enumerate().worth(bytes(8 * m * n)).for_each(|(i, row)| {
            for (piece, row) in pieces.chunks(m * cols).zip(row.chunks_mut(cols)) {
                row.copy_from_slice(&piece[i * row.len()..][..row.len()]);
            }
        });
    });
}

/// Computes the product of each `depth` of `k` in scratch space, then their sum in order.
fn by_depth(
    c: &mut [f32],
    k: usize,
    depth: usize,
    write: Write,
    work: Nanoseconds,
    product: impl Fn(&mut [f32], Range<usize>) + Sync,
) {
    let len = c.len();
    with_scratch(k.div_ceil(depth) * len, |parts| {
        parts.par_chunks_mut(len).enumerate().worth(work).for_each(|(i, part)| {
            product(part, i * depth..k.min((i + 1) * depth));
        });
        let sums = c.par_chunks_mut(CHUNK).enumerate().worth(bytes(4 * parts.len()));
        sums.for_each(|(chunk, c)| {
            for (i, part) in parts.chunks_exact(len).enumerate() {
                let part = &part[chunk * CHUNK..][..c.len()];
                if i == 0 && write == Overwrite {
                    c.copy_from_slice(part);
                } else {
                    c.iter_mut().zip(part).for_each(|(c, &sum)| *c += sum);
                }
            }
        });
    });
}

/// `C = A · B` as `Cᵀ = Bᵀ · Aᵀ`, where `A` has few rows and is laid out anew: then all rows of `A` are
/// in one tile, and each float of `B`, which is what there is to read, is read once.
fn few_rows(level: Level, c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    let [m, k, n] = check(c, a, b);
    with_scratch((k + n) * m, |scratch| {
        let (a_t, c_t) = scratch.split_at_mut(k * m);
        transpose(a, a_t);
        split(level, c_t, b.t(), Matrix::new(a_t, k, m), Overwrite);
        transpose(Matrix::new(c_t, n, m), c);
    });
}

/// Lays out `Aᵀ` row after row.
fn transpose(a: Matrix<'_>, to: &mut [f32]) {
    // 16 by 16 floats at a time: a cache line of each row.
    let work = bytes(8 * to.len());
    to.par_chunks_mut(16 * a.rows).enumerate().worth(work).for_each(|(j, to)| {
        for i in (0..a.rows).step_by(16) {
            for (j, to) in (16 * j..).zip(to.chunks_exact_mut(a.rows)) {
                for (i, to) in (i..).zip(to[i..].iter_mut().take(16)) {
                    *to = a.floats[i * a.row_stride + j * a.col_stride];
                }
            }
        }
    });
}

/// How a product is taken: by its shape alone, so that parts of it can be taken the same way.
#[derive(Clone, Copy, Debug)]
struct Way {
    operands: Operands,
    /// The largest block.
    depth: usize,
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operands {
    /// One row: the rows of `B` are summed up, no tile would be filled.
    Row,
    AsGiven,
    /// `Cᵀ = Bᵀ · Aᵀ`.
    Transposed,
}

impl Way {
    fn of(a: Matrix<'_>, b: Matrix<'_>) -> Self {
        let operands = if b.col_stride == 1 {
            if a.rows == 1 { Operands::Row } else { Operands::AsGiven }
        } else if a.rows < b.cols || a.col_stride != 1 {
            // A tile reads the rows of its right operand as vectors. Where the columns of B are
            // contiguous, it has to be copied, or, if smaller or the better fit, A.
            Operands::Transposed
        } else {
            Operands::AsGiven
        };
        let n = match operands {
            Operands::Transposed => a.rows,
            _ => b.cols,
        };
        let [depth, width] = if n <= FEW && operands == Operands::AsGiven && a.row_stride == 1 {
            [THIN, FEW]
        } else if n <= SOME {
            // All of the right operand, while the left one streams by.
            [AREA / n.next_multiple_of(MOST_COLS).max(1), SOME]
        } else if a.cols <= FEW {
            [FEW, AREA / FEW]
        } else {
            [DEPTH, WIDTH]
        };
        Self { operands, depth, width }
    }

    fn product(self, level: Level, c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
        let [_, k, n] = check(c, a, b);
        if write == Overwrite && k == 0 {
            c.fill(0.0);
        }
        if c.is_empty() || k == 0 {
            return;
        }
        match self.operands {
            Operands::Row => row(level, c, a, b, write),
            Operands::AsGiven => {
                let c = Output { floats: c, row_stride: n, col_stride: 1 };
                self.blocks(level, c, a, b, write);
            }
            Operands::Transposed => {
                let c = Output { floats: c, row_stride: 1, col_stride: n };
                self.blocks(level, c, b.t(), a.t(), write);
            }
        }
    }

    fn blocks(self, level: Level, c: Output<'_>, a: Matrix<'_>, b: Matrix<'_>, write: Write) {
        let [m, k, n] = [a.rows, a.cols, b.cols];
        let pack = Pack {
            // Strides of whole 4 KB pages put all rows of a tile in one set of the L1 cache, which
            // costs more than a copy if the tile's rows are read for several panels of B.
            a: a.row_stride.max(a.col_stride).is_multiple_of(1024) && n > SOME,
            // Rows of B that are far apart share few sets of the caches and waste the prefetcher,
            // which costs more than a copy if they are read for several panels of A.
            b: b.col_stride != 1 || b.row_stride >= 512,
        };
        with_scratch(SCRATCH, |scratch| {
            for j in (0..n).step_by(self.width) {
                let cols = j..n.min(j + self.width);
                for start in (0..k).step_by(self.depth) {
                    let depth = start..k.min(start + self.depth);
                    let write = if start == 0 { write } else { Add };
                    let mut c = Output { floats: &mut c.floats[j * c.col_stride..], ..c };
                    let [a, b] = [a.block(0..m, depth.clone()), b.block(depth, cols.clone())];
                    block(level, &mut c, a, b, write, pack, scratch);
                }
            }
        });
    }
}

multiversion! { fn row(c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) = row_body }

/// `(1, k) · (k, n)`: 8 rows of `B` at a time are added to `C`.
#[inline(always)]
fn row_body<F: Fma>(c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
    if write == Overwrite {
        c.fill(0.0);
    }
    let [k, n] = [a.cols, b.cols];
    let c = &mut c[..n];
    let row = |k: usize| (a.floats[k * a.col_stride], &b.floats[k * b.row_stride..][..n]);
    let whole = k / 8 * 8;
    for k in (0..whole).step_by(8) {
        add_rows::<F, 8>(c, std::array::from_fn(|r| row(k + r)));
    }
    for k in whole..k {
        add_rows::<F, 1>(c, [row(k)]);
    }
}

#[inline(always)]
fn add_rows<F: Fma, const R: usize>(c: &mut [f32], rows: [(f32, &[f32]); R]) {
    let next = add_columns::<F, R, 16>(c, rows, 0);
    let next = add_columns::<F, R, 8>(c, rows, next);
    add_columns::<F, R, 1>(c, rows, next);
}

/// Adds `B` columns at a time from column `j` on; returns the first that are left.
#[inline(always)]
fn add_columns<F: Fma, const R: usize, const B: usize>(
    c: &mut [f32],
    rows: [(f32, &[f32]); R],
    mut j: usize,
) -> usize {
    while let Some(c) = c.get_mut(j..j + B) {
        let c: &mut [f32; B] = c.try_into().unwrap();
        let mut sums = *c;
        for (x, row) in rows {
            let row: &[f32; B] = row[j..j + B].try_into().unwrap();
            for i in 0..B {
                sums[i] = F::fma(x, row[i], sums[i]);
            }
        }
        *c = sums;
        j += B;
    }
    j
}

#[cfg(test)]
mod tests;
