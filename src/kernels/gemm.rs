//! The product of two matrices.
//!
//! The sum of products behind each float of `C` is taken in the same order however the work is cut:
//! blocks of [`DEPTH`] products one after another, and the blocks' sums one after another. Serial
//! and parallel products have the same bits.

use super::buffer::with_scratch;
use super::gemm_tile::{DEPTH, Output, Pack, SCRATCH, WIDTH, block};
use super::parallel::{Nanoseconds, Worth, flops};
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

/// [`gemm`] on as many threads as it is worth, with the same bits.
pub(crate) fn par_gemm(level: Level, c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
    let [m, k, n] = check(c, a, b);
    let way = Way::of(a, b);
    let work = flops(2 * m * k * n);
    // A 16th of the larger side a piece, but not so little that copying the other operand shows.
    let rows = m.div_ceil(16).next_multiple_of(14).max(56);
    let cols = n.div_ceil(16).next_multiple_of(32).max(64);
    if work.is_little() {
        way.product(level, c, a, b, write);
    } else if m > rows && m >= n {
        c.par_chunks_mut(rows * n).enumerate().worth(work).for_each(|(piece, c)| {
            let here = piece * rows..m.min((piece + 1) * rows);
            way.product(level, c, a.block(here, 0..k), b, write);
        });
    } else if n > cols {
        by_columns(c, n, cols, write, work, |c, here| {
            way.product(level, c, a, b.block(0..k, here), write);
        });
    } else if k > DEPTH && m > 1 {
        by_depth(c, k, write, work, |c, here| {
            way.product(level, c, a.block(0..m, here.clone()), b.block(here, 0..n), Overwrite);
        });
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
        for (i, row) in c.chunks_exact_mut(n).enumerate() {
            for (piece, row) in pieces.chunks(m * cols).zip(row.chunks_mut(cols)) {
                row.copy_from_slice(&piece[i * row.len()..][..row.len()]);
            }
        }
    });
}

/// Computes the product of each block of [`DEPTH`] in scratch space, then their sum in order.
fn by_depth(
    c: &mut [f32],
    k: usize,
    write: Write,
    work: Nanoseconds,
    product: impl Fn(&mut [f32], Range<usize>) + Sync,
) {
    with_scratch(k.div_ceil(DEPTH) * c.len(), |blocks| {
        blocks.par_chunks_mut(c.len()).enumerate().worth(work).for_each(|(i, block)| {
            product(block, i * DEPTH..k.min((i + 1) * DEPTH));
        });
        for (i, block) in blocks.chunks_exact(c.len()).enumerate() {
            if i == 0 && write == Overwrite {
                c.copy_from_slice(block);
            } else {
                c.iter_mut().zip(block).for_each(|(c, &sum)| *c += sum);
            }
        }
    });
}

/// How a product is taken: by its shape alone, so that parts of it can be taken the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// One row: the rows of `B` are summed up, no tile would be filled.
    Row,
    Tiles,
    /// `Cᵀ = Bᵀ · Aᵀ`, in tiles.
    Transposed,
}

impl Way {
    fn of(a: Matrix<'_>, b: Matrix<'_>) -> Self {
        if b.col_stride == 1 {
            if a.rows == 1 { Way::Row } else { Way::Tiles }
        } else if a.rows < b.cols || a.col_stride != 1 {
            // A tile reads the rows of its right operand as vectors. Where the columns of B are
            // contiguous, it has to be copied, or, if smaller or the better fit, A.
            Way::Transposed
        } else {
            Way::Tiles
        }
    }

    fn product(self, level: Level, c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
        let [_, k, n] = check(c, a, b);
        if write == Overwrite && k == 0 {
            c.fill(0.0);
        }
        if c.is_empty() || k == 0 {
            return;
        }
        match self {
            Way::Row => row(level, c, a, b, write),
            Way::Tiles => {
                blocks(level, Output { floats: c, row_stride: n, col_stride: 1 }, a, b, write);
            }
            Way::Transposed => {
                let c = Output { floats: c, row_stride: 1, col_stride: n };
                blocks(level, c, b.t(), a.t(), write);
            }
        }
    }
}

fn blocks(level: Level, c: Output<'_>, a: Matrix<'_>, b: Matrix<'_>, write: Write) {
    let [m, k, n] = [a.rows, a.cols, b.cols];
    let pack = Pack {
        // Strides of whole 4 KB pages put all rows of a tile in one set of the L1 cache, which
        // costs more than a copy if the tile's rows are read for several panels of B.
        a: a.row_stride.max(a.col_stride).is_multiple_of(1024) && n > 64,
        // Rows of B that are far apart share few sets of the caches and waste the prefetcher.
        b: b.col_stride != 1 || b.row_stride >= 512,
    };
    with_scratch(SCRATCH, |scratch| {
        for j in (0..n).step_by(WIDTH) {
            let cols = j..n.min(j + WIDTH);
            for start in (0..k).step_by(DEPTH) {
                let depth = start..k.min(start + DEPTH);
                let write = if start == 0 { write } else { Add };
                let mut c = Output { floats: &mut c.floats[j * c.col_stride..], ..c };
                let [a, b] = [a.block(0..m, depth.clone()), b.block(depth, cols.clone())];
                block(level, &mut c, a, b, write, pack, scratch);
            }
        }
    });
}

multiversion! { fn row(c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) = row_body }

/// `(1, k) · (k, n)`: 8 rows of `B` at a time are added to `C`.
#[inline(always)]
fn row_body<F: Fma>(c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
    let [k, n] = [a.cols, b.cols];
    let rows = |from: usize| -> [&[f32]; 8] {
        std::array::from_fn(|r| &b.floats[(from + r) * b.row_stride..][..n])
    };
    let x = |k: usize| a.floats[k * a.col_stride];
    if write == Overwrite {
        c.fill(0.0);
    }
    let whole = k / 8 * 8;
    for k in (0..whole).step_by(8) {
        let xs: [f32; 8] = std::array::from_fn(|r| x(k + r));
        let rows = rows(k);
        for (j, c) in c.iter_mut().enumerate() {
            let mut sum = *c;
            for (x, row) in xs.iter().zip(rows) {
                sum = F::fma(*x, row[j], sum);
            }
            *c = sum;
        }
    }
    for k in whole..k {
        let row = &b.floats[k * b.row_stride..][..n];
        c.iter_mut().zip(row).for_each(|(c, &y)| *c = F::fma(x(k), y, *c));
    }
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::super::simd::level;
    use super::*;

    /// Multiples of 1/8 between -1 and 1, whose products and short sums are exact.
    fn floats(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729) % 17) as f32 / 8.0 - 1.0).collect()
    }

    fn naive(c: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, write: Write) {
        for i in 0..a.rows {
            for j in 0..b.cols {
                let mut sum = if write == Add { c[i * b.cols + j] } else { 0.0 };
                for k in 0..a.cols {
                    let a = a.floats[i * a.row_stride + k * a.col_stride];
                    sum += a * b.floats[k * b.row_stride + j * b.col_stride];
                }
                c[i * b.cols + j] = sum;
            }
        }
    }

    /// The part of a larger matrix, whose rows therefore lie apart, or its transpose.
    fn operand(all: &[f32], rows: usize, cols: usize, transposed: bool) -> Matrix<'_> {
        let [rows, cols] = if transposed { [cols, rows] } else { [rows, cols] };
        let all = Matrix::new(&all[..(rows + 2) * (cols + 3)], rows + 2, cols + 3);
        let part = all.block(1..rows + 1, 2..cols + 2);
        if transposed { part.t() } else { part }
    }

    fn compare(m: usize, k: usize, n: usize) {
        let [a, b] = [floats((m + 5) * (k + 5), 1), floats((k + 5) * (n + 5), 2)];
        for (at, bt) in [(false, false), (false, true), (true, false), (true, true)] {
            let [a, b] = [operand(&a, m, k, at), operand(&b, k, n, bt)];
            for write in [Overwrite, Add] {
                let mut wanted = floats(m * n, 3);
                naive(&mut wanted, a, b, write);
                for level in Level::all() {
                    for product in [gemm, par_gemm] {
                        let mut c = floats(m * n, 3);
                        product(level, &mut c, a, b, write);
                        assert_eq!(c, wanted, "{level:?} {m}×{k}×{n} {at} {bt} {write:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn equals_the_naive_product_on_edge_sizes() {
        let sizes = [0, 1, 2, 5, 6, 7, 13, 14, 15, 16, 17, 31, 32, 33, 63, 65];
        for m in sizes {
            for n in sizes {
                for k in [0, 1, 2, 17] {
                    compare(m, k, n);
                }
            }
        }
    }

    #[test]
    fn equals_the_naive_product_on_several_blocks() {
        let shapes = [(3, 257, 5), (1, 521, 3), (17, 600, 40), (2, 9, 389), (15, 256, 1024)];
        for (m, k, n) in shapes.into_iter().chain([(127, 31, 70), (70, 31, 127), (40, 1021, 20)]) {
            compare(m, k, n);
        }
        compare(1024, 13, 33); // strides of whole pages
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        // Not exact: sums of thirds depend on their order.
        let thirds = |len| floats(len, 4).into_iter().map(|x| x / 3.0).collect::<Vec<_>>();
        let shapes =
            [(300, 301, 90), (40, 700, 500), (25, 9000, 6), (1, 2000, 900), (33, 300, 700)];
        for (m, k, n) in shapes {
            let [a, b] = [thirds(m * k), thirds(k * n)];
            for (a, b) in [
                (Matrix::new(&a, m, k), Matrix::new(&b, k, n)),
                (Matrix::new(&a, m, k), Matrix::new(&b, n, k).t()),
                (Matrix::new(&a, k, m).t(), Matrix::new(&b, k, n)),
            ] {
                for write in [Overwrite, Add] {
                    let run = |product: fn(Level, &mut [f32], Matrix<'_>, Matrix<'_>, Write)| {
                        let mut c = thirds(m * n);
                        product(level(), &mut c, a, b, write);
                        c
                    };
                    assert_same_bits(|| run(par_gemm));
                    assert!(run(gemm) == run(par_gemm), "{m}×{k}×{n} {write:?}");
                }
            }
        }
    }
}
