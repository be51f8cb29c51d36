//! Convolution as a product: an image rewritten so that each window is a row.

use super::window::Window;
use std::ops::Range;

/// Writes the windows of output rows `rows` as a matrix, so that its product with the kernel
/// `(kh·kw·c, f)` is those rows of the convolution. Cells off the image are 0.
///
/// `x (h, w, c)`, `columns (rows·ow, kh·kw·c)`.
#[cfg(test)]
pub(crate) fn im2col(
    window: &Window,
    c: usize,
    x: &[f32],
    rows: Range<usize>,
    columns: &mut [f32],
) {
    check(window, c, x, &rows, columns);
    if (0..2).any(|axis| clipped(window, axis)) {
        columns.fill(0.0);
    }
    each_run(window, c, rows, |cell, column, len| {
        columns[column..column + len].copy_from_slice(&x[cell..cell + len]);
    });
}

/// The gradient of `im2col`: adds each element of `columns` to the cell of `dx` it was copied from.
///
/// `columns (rows·ow, kh·kw·c)`, `dx (h, w, c)`.
pub(crate) fn col2im(
    window: &Window,
    c: usize,
    columns: &[f32],
    rows: Range<usize>,
    dx: &mut [f32],
) {
    check(window, c, dx, &rows, columns);
    each_run(window, c, rows, |cell, column, len| {
        for (dx, g) in dx[cell..cell + len].iter_mut().zip(&columns[column..column + len]) {
            *dx += g;
        }
    });
}

fn check(window: &Window, c: usize, image: &[f32], rows: &Range<usize>, columns: &[f32]) {
    let [h, w] = window.input;
    let [kh, kw] = window.kernel;
    let [oh, ow] = window.output;
    assert!(rows.end <= oh, "rows {rows:?} of {oh}");
    assert_eq!(image.len(), h * w * c, "image of ({h}, {w}, {c})");
    assert_eq!(columns.len(), rows.len() * ow * kh * kw * c, "columns of {rows:?} for {window:?}");
}

/// Whether some window reaches over the border: the first one before it or the last one behind it.
#[cfg(test)]
fn clipped(window: &Window, axis: usize) -> bool {
    window.taps(axis, 0).start > 0
        || window.taps(axis, window.output[axis] - 1).end < window.kernel[axis]
}

/// Calls `f(cell, column, len)` for all runs of floats that lie side by side both in the image (from
/// `cell`) and in the matrix (from `column`).
#[inline(always)]
fn each_run(window: &Window, c: usize, rows: Range<usize>, mut f: impl FnMut(usize, usize, usize)) {
    let [_, w] = window.input;
    let [kh, kw] = window.kernel;
    let [_, ow] = window.output;
    for (row, oy) in rows.enumerate() {
        let ys = window.taps(0, oy);
        for ox in 0..ow {
            let xs = window.taps(1, ox);
            // Without dilation the cells of a kernel row touch.
            let run = if window.dilation[1] == 1 { xs.len().max(1) } else { 1 };
            for ky in ys.clone() {
                let image_row = window.cell(0, oy, ky) * w;
                let column_row = ((row * ow + ox) * kh + ky) * kw;
                for kx in xs.clone().step_by(run) {
                    let cell = image_row + window.cell(1, ox, kx);
                    f(cell * c, (column_row + kx) * c, run * c);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::{Padding, testing};
    use super::*;

    const CHANNELS: [usize; 4] = [1, 3, 16, 17];

    fn columns_len(window: &Window, c: usize, rows: usize) -> usize {
        rows * window.output[1] * window.kernel[0] * window.kernel[1] * c
    }

    /// The image's index that each element of the whole matrix is copied from; `None` is padding.
    fn naive(window: &Window, c: usize) -> Vec<Option<usize>> {
        let ([h, w], [kh, kw], [oh, ow]) = (window.input, window.kernel, window.output);
        let mut sources = Vec::new();
        for i in 0..oh * ow * kh * kw * c {
            let (channel, kx, ky) = (i % c, i / c % kw, i / c / kw % kh);
            let (ox, oy) = (i / c / kw / kh % ow, i / c / kw / kh / ow);
            let y =
                (oy * window.strides[0] + ky * window.dilation[0]).wrapping_sub(window.before[0]);
            let x =
                (ox * window.strides[1] + kx * window.dilation[1]).wrapping_sub(window.before[1]);
            sources.push((y < h && x < w).then(|| (y * w + x) * c + channel));
        }
        sources
    }

    #[test]
    fn copies_every_window_whole_or_by_rows() {
        for window in testing::windows() {
            for c in CHANNELS {
                let x = testing::floats(window.input[0] * window.input[1] * c, 1);
                let want: Vec<f32> =
                    naive(&window, c).iter().map(|source| source.map_or(0.0, |at| x[at])).collect();
                let oh = window.output[0];
                let mut columns = vec![f32::NAN; want.len()];
                im2col(&window, c, &x, 0..oh, &mut columns);
                assert_eq!(columns, want, "{window:?}, {c} channels");

                columns.fill(f32::NAN);
                let (top, bottom) = columns.split_at_mut(columns_len(&window, c, oh / 2));
                im2col(&window, c, &x, 0..oh / 2, top);
                im2col(&window, c, &x, oh / 2..oh, bottom);
                assert_eq!(columns, want, "{window:?}, {c} channels");
            }
        }
    }

    #[test]
    fn col2im_adds_what_im2col_copied() {
        for window in testing::windows() {
            for c in CHANNELS {
                let oh = window.output[0];
                let columns = testing::floats(columns_len(&window, c, oh), 2);
                let start = testing::floats(window.input[0] * window.input[1] * c, 3);
                let mut want = start.clone();
                for (source, g) in naive(&window, c).iter().zip(&columns) {
                    if let Some(at) = source {
                        want[*at] += g;
                    }
                }
                let mut dx = start;
                let (top, bottom) = columns.split_at(columns_len(&window, c, oh / 2));
                col2im(&window, c, top, 0..oh / 2, &mut dx);
                col2im(&window, c, bottom, oh / 2..oh, &mut dx);
                assert_eq!(dx, want, "{window:?}, {c} channels");
            }
        }
    }

    /// `⟨im2col(x), g⟩ = ⟨x, col2im(g)⟩`, exactly: all terms are small multiples of 1/16.
    #[test]
    fn col2im_is_the_adjoint_of_im2col() {
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let window = Window::new([9, 10], [5, 4], [2, 3], [1, 1], Padding::Same).unwrap();
        let x = testing::floats(9 * 10 * 7, 4);
        let g = testing::floats(columns_len(&window, 7, window.output[0]), 5);
        let mut columns = vec![0.0; g.len()];
        im2col(&window, 7, &x, 0..window.output[0], &mut columns);
        let mut dx = vec![0.0; x.len()];
        col2im(&window, 7, &g, 0..window.output[0], &mut dx);
        assert_eq!(dot(&columns, &g), dot(&x, &dx));
        assert_ne!(dot(&x, &dx), 0.0);
    }
}
