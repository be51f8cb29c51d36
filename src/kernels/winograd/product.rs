//! The products of matrices, one small tile of the result at a time, held in registers.

use super::{LANES, Lanes};
use crate::kernels::vector::{Vector, with_vectors};

/// Filters (or, backward, channels) are packed in blocks of 32: two of the widest vectors.
pub(super) const PACK: usize = 32;
pub(super) type Packed = [Lanes; PACK / LANES];

with_vectors! {
    /// `result = a · b`, `(rows, 16 · chunks) · (16 · chunks, 32)`; rows of the result are `stride`
    /// apart.
    ///
    /// `a` holds `chunks` times `rows` times sixteen columns: the distance of two rows is then a
    /// constant, and all of a tile's rows are reached from one address.
    pub(super) fn by_chunks(
        rows: usize,
        a: &[Lanes],
        b: &[Packed],
        result: &mut [Packed],
        stride: usize,
    ) = by_chunks_body::<V, P>
}

#[inline(always)]
fn by_chunks_body<V: Vector, const P: usize>(
    rows: usize,
    a: &[Lanes],
    b: &[Packed],
    result: &mut [Packed],
    stride: usize,
) {
    tiles::<[V; P], _>(P == 1, rows, &ByChunks { a, rows }, b, result, stride)
}

with_vectors! {
    /// `result += aᵀ · b`, `(rows, depth) · (depth, 32)`, for `a` of `(depth, rows)`.
    pub(super) fn transposed(
        rows: usize,
        a: &[f32],
        b: &[Packed],
        result: &mut [Packed],
    ) = transposed_body::<V, P>
}

#[inline(always)]
fn transposed_body<V: Vector, const P: usize>(
    rows: usize,
    a: &[f32],
    b: &[Packed],
    result: &mut [Packed],
) {
    tiles::<[V; P], _>(P == 1, rows, &Transposed { a, rows }, b, result, 1)
}

/// The left operand, by the order it lies in.
trait Left {
    /// Whether the product is added to what is there.
    const ADD: bool;

    /// Adds `R` rows from `first` on, times `W` vectors of each row of `b` from `column` on.
    fn multiply<V: Vector, const R: usize, const W: usize>(
        &self,
        first: usize,
        b: &[Packed],
        column: usize,
        sums: [[V; W]; R],
    ) -> [[V; W]; R];
}

struct ByChunks<'a> {
    a: &'a [Lanes],
    rows: usize,
}

impl Left for ByChunks<'_> {
    const ADD: bool = false;

    #[inline(always)]
    fn multiply<V: Vector, const R: usize, const W: usize>(
        &self,
        first: usize,
        b: &[Packed],
        column: usize,
        mut sums: [[V; W]; R],
    ) -> [[V; W]; R] {
        for (a, b) in self.a.chunks_exact(self.rows).zip(b.as_chunks::<LANES>().0) {
            let a: &[Lanes; R] = a[first..][..R].as_array().expect("R rows");
            for k in 0..LANES {
                for row in 0..R {
                    for j in 0..W {
                        sums[row][j] = sums[row][j]
                            .plus_product(V::splat(a[row][k]), V::load(&b[k][column + j]));
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
    fn multiply<V: Vector, const R: usize, const W: usize>(
        &self,
        first: usize,
        b: &[Packed],
        column: usize,
        mut sums: [[V; W]; R],
    ) -> [[V; W]; R] {
        for (a, b) in self.a.chunks_exact(self.rows).zip(b) {
            let a: &[f32; R] = a[first..][..R].as_array().expect("R rows");
            for row in 0..R {
                for j in 0..W {
                    sums[row][j] =
                        sums[row][j].plus_product(V::splat(a[row]), V::load(&b[column + j]));
                }
            }
        }
        sums
    }
}

/// Cuts the rows into tiles whose sums stay in registers: 12 × 32 of them in 24 of the 32 registers of
/// AVX-512, which is `wide`, or 6 × 16 in 12 of the 16 of AVX2.
#[inline(always)]
fn tiles<V: Vector, A: Left>(
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
                one_tile::<V, A, $rows, 2>(a, first, b, 0, result, stride);
                first += $rows;
            }};
            ($rows:literal narrow) => {{
                one_tile::<V, A, $rows, 1>(a, first, b, 0, result, stride);
                one_tile::<V, A, $rows, 1>(a, first, b, 1, result, stride);
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
fn one_tile<V: Vector, A: Left, const R: usize, const W: usize>(
    a: &A,
    first: usize,
    b: &[Packed],
    column: usize,
    result: &mut [Packed],
    stride: usize,
) {
    let mut sums = [[V::splat(0.0); W]; R];
    if A::ADD {
        for row in 0..R {
            for j in 0..W {
                sums[row][j] = V::load(&result[row * stride][column + j]);
            }
        }
    }
    let sums = a.multiply::<V, R, W>(first, b, column, sums);
    for row in 0..R {
        for j in 0..W {
            sums[row][j].store(&mut result[row * stride][column + j]);
        }
    }
}
