use super::super::guarded::Guarded;
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

/// The floats of a larger matrix, in which a part is to lie: there is nothing but NaN beside that.
fn around(rows: usize, cols: usize, transposed: bool, seed: usize) -> Guarded {
    let [rows, cols] = if transposed { [cols, rows] } else { [rows, cols] };
    let mut all = Guarded::new(&vec![f32::NAN; (rows + 2) * (cols + 3)]);
    let lines = all.chunks_exact_mut(cols + 3).skip(1);
    for (line, part) in lines.zip(floats(rows * cols, seed).chunks_exact(cols.max(1))) {
        line[2..cols + 2].copy_from_slice(part);
    }
    all
}

/// The part of a larger matrix, whose rows therefore lie apart, or its transpose.
fn operand(all: &[f32], rows: usize, cols: usize, transposed: bool) -> Matrix<'_> {
    let [rows, cols] = if transposed { [cols, rows] } else { [rows, cols] };
    let part = Matrix::new(all, rows + 2, cols + 3).block(1..rows + 1, 2..cols + 2);
    if transposed { part.t() } else { part }
}

fn compare(m: usize, k: usize, n: usize) {
    for (at, bt) in [(false, false), (false, true), (true, false), (true, true)] {
        let [a, b] = [around(m, k, at, 1), around(k, n, bt, 2)];
        let [a, b] = [operand(&a, m, k, at), operand(&b, k, n, bt)];
        for write in [Overwrite, Add] {
            let mut wanted = floats(m * n, 3);
            naive(&mut wanted, a, b, write);
            for level in Level::all() {
                for product in [gemm, par_gemm] {
                    let mut c = Guarded::new(&floats(m * n, 3));
                    product(level, &mut c, a, b, write);
                    assert_eq!(*c, wanted, "{level:?} {m}×{k}×{n} {at} {bt} {write:?}");
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
fn equals_the_naive_product_on_a_few_small_sizes() {
    // Few enough for where each instruction is checked: tiles of several heights, whole and cut.
    for (m, k, n) in [(0, 3, 4), (1, 9, 3), (7, 2, 17), (2, 3, 8)] {
        compare(m, k, n);
    }
}

#[test]
fn pieces_from_several_threads_are_the_naive_product() {
    let [m, k, n] = [3, 8, 10];
    let [a, b] = [floats(m * k, 1), floats(k * n, 2)];
    let [a, b] = [Matrix::new(&a, m, k), Matrix::new(&b, k, n)];
    let plenty = flops(usize::MAX);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for write in [Overwrite, Add] {
        let mut wanted = floats(m * n, 3);
        naive(&mut wanted, a, b, write);
        let [mut in_columns, mut in_depth] = [floats(m * n, 3), floats(m * n, 3)];
        pool.install(|| {
            by_columns(&mut in_columns, n, 4, write, plenty, |c, here| {
                gemm(level(), c, a, b.block(0..k, here), write);
            });
            by_depth(&mut in_depth, k, 3, write, plenty, |c, here| {
                gemm(level(), c, a.block(0..m, here.clone()), b.block(here, 0..n), Overwrite);
            });
        });
        assert_eq!([in_columns, in_depth], [wanted.clone(), wanted], "{write:?}");
    }
}

#[test]
fn a_product_of_several_chunks_is_summed_up_over_its_depth() {
    let [m, k, n] = [130, 8, 130];
    let [a, b] = [floats(m * k, 1), floats(k * n, 2)];
    let [a, b] = [Matrix::new(&a, m, k), Matrix::new(&b, k, n)];
    assert!(m * n > CHUNK);
    for write in [Overwrite, Add] {
        let [mut wanted, mut c] = [floats(m * n, 3), floats(m * n, 3)];
        naive(&mut wanted, a, b, write);
        by_depth(&mut c, k, 3, write, flops(usize::MAX), |c, here| {
            gemm(level(), c, a.block(0..m, here.clone()), b.block(here, 0..n), Overwrite);
        });
        assert!(c == wanted, "{write:?}");
    }
}

#[test]
fn rows_and_columns_whole_pages_apart_are_packed() {
    let n = SOME + 5;
    let (pages, b) = (floats(7 * 1024, 1), floats(1024 * n, 2));
    let pages = Matrix::new(&pages, 7, 1024);
    for a in [pages, pages.t()] {
        let b = Matrix::new(&b[..a.cols * n], a.cols, n);
        let mut wanted = vec![0.0; a.rows * n];
        naive(&mut wanted, a, b, Overwrite);
        for level in Level::all() {
            let mut c = Guarded::new(&vec![f32::NAN; a.rows * n]);
            gemm(level, &mut c, a, b, Overwrite);
            assert_eq!(*c, wanted, "{level:?} {a:?}");
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
    compare(400, 65, 5); // several blocks of columns of a transposed product
    compare(2, 2000, 60); // a block deeper
    compare(3, 64, 1600); // and one wider than may be held
    let few = [(2, 700, 400), (24, 700, 400), (20, 1100, 300), (24, 150, 2050), (33, 401, 701)];
    for (m, k, n) in few.into_iter().chain([(64, 257, 1024), (100, 401, 701)]) {
        compare(m, k, n); // few rows, and a large right operand
    }
    compare(130, 1100, 250); // more rows
}

/// It once was turned round for its few rows, then for its few columns, and so on until the stack was full.
#[test]
fn few_rows_and_few_columns_of_great_depth() {
    compare(32, 8200, 32);
}

#[test]
fn threads_do_not_change_the_bits() {
    // Not exact: sums of thirds depend on their order.
    let thirds = |len| floats(len, 4).into_iter().map(|x| x / 3.0).collect::<Vec<_>>();
    let shapes = [(300, 301, 90), (40, 700, 500), (25, 9000, 6), (1, 2000, 900), (33, 300, 900)];
    for (m, k, n) in shapes.into_iter().chain([(90, 1500, 300), (32, 8200, 32)]) {
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
            }
        }
    }
}
