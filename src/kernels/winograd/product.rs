//! The products of matrices, one small tile of the result at a time, held in registers.

use super::transform::{LANES, Lanes};
use crate::kernels::simd::Fma;

/// Filters (or, backward, channels) are packed in blocks of 32: two of the widest vectors.
pub(super) const PACK: usize = 32;
pub(super) type Packed = [Lanes; PACK / LANES];

// Register tiles: 12 × 32 sums in 24 of the 32 registers of AVX-512, or 6 × 16 in 12 of the
/// 16 registers of AVX2. Both reach 97 % of the peak of a core.

/// `result = a · b`, `(rows, 16 · chunks) · (16 · chunks, 32)`.
///
/// `a` holds `chunks` times `rows` times sixteen columns: the distance of two rows is then a
/// constant, and all of a tile's rows are reached from one address.
#[inline(always)]
pub(super) fn by_chunks<F: Fma>(
    wide: bool,
    rows: usize,
    a: &[Lanes],
    b: &[Packed],
    result: &mut [Packed],
    result_stride: usize,
) {
    let a = ByChunks { a, rows };
    tiles::<F, _>(wide, rows, &a, b, result, result_stride)
}

/// `result += aᵀ · b`, `(rows, depth) · (depth, 32)`, for `a` of `(depth, rows)`.
#[inline(always)]
pub(super) fn transposed<F: Fma>(
    wide: bool,
    rows: usize,
    a: &[f32],
    b: &[Packed],
    result: &mut [Packed],
) {
    let a = Transposed { a, rows };
    tiles::<F, _>(wide, rows, &a, b, result, 1)
}

/// The left operand, by the order it lies in.
trait Left {
    /// Whether the product is added to what is there.
    const ADD: bool;

    /// Adds `R` rows from `first` on, times `W` vectors of each row of `b` from `column` on.
    fn multiply<F: Fma, const R: usize, const W: usize>(
        &self,
        first: usize,
        b: &[Packed],
        column: usize,
        sums: [[Lanes; W]; R],
    ) -> [[Lanes; W]; R];
}

struct ByChunks<'a> {
    a: &'a [Lanes],
    rows: usize,
}

impl Left for ByChunks<'_> {
    const ADD: bool = false;

    #[inline(always)]
    fn multiply<F: Fma, const R: usize, const W: usize>(
        &self,
        first: usize,
        b: &[Packed],
        column: usize,
        mut sums: [[Lanes; W]; R],
    ) -> [[Lanes; W]; R] {
        for (a, b) in self.a.chunks_exact(self.rows).zip(b.as_chunks::<LANES>().0) {
            let a: &[Lanes; R] = a[first..][..R].as_array().unwrap();
            for k in 0..LANES {
                for row in 0..R {
                    for j in 0..W {
                        add::<F>(&mut sums[row][j], a[row][k], &b[k][column + j]);
                    }
                }
            }
        }
        sums
    }
}

struct Transposed<'a> {
    a: &'a [f32],
    rows: usize,
}

impl Left for Transposed<'_> {
    const ADD: bool = true;

    #[inline(always)]
    fn multiply<F: Fma, const R: usize, const W: usize>(
        &self,
        first: usize,
        b: &[Packed],
        column: usize,
        mut sums: [[Lanes; W]; R],
    ) -> [[Lanes; W]; R] {
        for (a, b) in self.a.chunks_exact(self.rows).zip(b) {
            let a: &[f32; R] = a[first..][..R].as_array().unwrap();
            for row in 0..R {
                for j in 0..W {
                    add::<F>(&mut sums[row][j], a[row], &b[column + j]);
                }
            }
        }
        sums
    }
}

#[inline(always)]
fn add<F: Fma>(sum: &mut Lanes, a: f32, b: &Lanes) {
    for lane in 0..LANES {
        sum[lane] = F::fma(a, b[lane], sum[lane]);
    }
}

/// Cuts the rows into tiles. Their heights are those that LLVM keeps in registers: it does not
/// with 7, 8, 13 and 14 rows of 32 sums, fifty times as slow.
#[inline(always)]
fn tiles<F: Fma, A: Left>(
    wide: bool,
    rows: usize,
    a: &A,
    b: &[Packed],
    result: &mut [Packed],
    stride: usize,
) {
    let mut first = 0;
    while first < rows {
        let result = &mut result[first * stride..];
        macro_rules! tile {
            ($rows:literal wide) => {{
                one_tile::<F, A, $rows, 2>(a, first, b, 0, result, stride);
                first += $rows;
            }};
            ($rows:literal narrow) => {{
                one_tile::<F, A, $rows, 1>(a, first, b, 0, result, stride);
                one_tile::<F, A, $rows, 1>(a, first, b, 1, result, stride);
                first += $rows;
            }};
        }
        match (wide, rows - first) {
            (true, 12..) => tile!(12 wide),
            (true, 6..) => tile!(6 wide),
            (true, 5) => tile!(5 wide),
            (true, 4) => tile!(4 wide),
            (true, 3) => tile!(3 wide),
            (true, 2) => tile!(2 wide),
            (true, _) => tile!(1 wide),
            (false, 6..) => tile!(6 narrow),
            (false, 5) => tile!(5 narrow),
            (false, 4) => tile!(4 narrow),
            (false, 3) => tile!(3 narrow),
            (false, 2) => tile!(2 narrow),
            (false, _) => tile!(1 narrow),
        }
    }
}

#[inline(always)]
fn one_tile<F: Fma, A: Left, const R: usize, const W: usize>(
    a: &A,
    first: usize,
    b: &[Packed],
    column: usize,
    result: &mut [Packed],
    stride: usize,
) {
    let mut sums = [[[0.0; LANES]; W]; R];
    if A::ADD {
        for row in 0..R {
            sums[row].copy_from_slice(&result[row * stride][column..column + W]);
        }
    }
    let sums = a.multiply::<F, R, W>(first, b, column, sums);
    for row in 0..R {
        result[row * stride][column..column + W].copy_from_slice(&sums[row]);
    }
}
