use super::backward_weights::{backward_weights, backward_weights_scratch};
use super::forward::{backward_input, forward};
use super::pack::{pack_backward, pack_forward, packed_backward_len, packed_forward_len};
use super::*;
use crate::kernels::guarded::Guarded;
use crate::kernels::parallel::assert_same_bits;
use crate::kernels::window::testing::{floats, windows};
use crate::kernels::window::{Padding, Window};

/// Sums of a few hundred terms of at most 1.
fn assert_close(what: &str, got: &[f32], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(got) - want).abs() <= 1e-4, "{what} [{i}]: {got}, not {want}");
    }
}

fn guarded(len: usize, seed: u32) -> Guarded {
    Guarded::new(&floats(len, seed))
}

/// What a kernel is to write, or may write in.
fn unset(len: usize) -> Guarded {
    Guarded::new(&vec![f32::NAN; len])
}

/// The definition: `f` is called with each number of `x`, and which row of `w` it is multiplied with
/// for which pixel of `y`.
fn each_product(conv: &Conv, n: usize, mut f: impl FnMut(usize, usize, usize)) {
    let Window { input: [h, w], kernel: [_, kw], strides, dilation, before, output } = conv.window;
    let (c, [oh, ow]) = (conv.channels, output);
    for (pixel, k) in (0..n * oh * ow).flat_map(|pixel| (0..conv.depth()).map(move |k| (pixel, k)))
    {
        let (o, tap) = ([pixel / ow % oh, pixel % ow], [k / c / kw, k / c % kw]);
        let [y, x] = [0, 1].map(|axis| {
            (o[axis] * strides[axis] + tap[axis] * dilation[axis]).wrapping_sub(before[axis])
        });
        if y < h && x < w {
            f(((pixel / (oh * ow) * h + y) * w + x) * c + k % c, k, pixel);
        }
    }
}

fn convs() -> impl Iterator<Item = Conv> {
    let wide =
        [([40, 40], [3, 3], [1, 1]), ([9, 29], [5, 5], [1, 1]), ([23, 23], [11, 11], [4, 4])];
    let wide = wide.into_iter().flat_map(|(input, kernel, strides)| {
        [Padding::Valid, Padding::Same]
            .map(|padding| Window::new(input, kernel, strides, [1, 1], padding).unwrap())
    });
    // Up to 8 filters have kernels of their own.
    let few = [(1, 1), (2, 2), (17, 3), (1, 4), (3, 5), (1, 6), (2, 7), (33, 8)];
    let more = [(3, 16), (5, 17), (2, 33), (15, 32)];
    let sizes = move || few.into_iter().chain(more);
    wide.chain(windows()).flat_map(move |window| {
        sizes().map(move |(channels, filters)| Conv { window, channels, filters, exact: true })
    })
}

/// Few and small enough for where each instruction is checked.
fn small_convs() -> impl Iterator<Item = Conv> {
    [([2, 3], [1, 1], 1, 17), ([2, 3], [1, 1], 2, 3), ([3, 4], [2, 2], 1, 9)].into_iter().map(
        |(input, strides, channels, filters)| {
            let window = Window::new(input, [3, 2], strides, [1, 1], Padding::Same).unwrap();
            Conv { window, channels, filters, exact: true }
        },
    )
}

fn check_forward(convs: impl Iterator<Item = Conv>) {
    for conv in convs {
        let (n, f) = (2, conv.filters);
        let (x, w) = (guarded(n * conv.input_len(), 1), guarded(conv.depth() * f, 2));
        let bias = guarded(f, 3);
        let mut want = vec![0.0; n * conv.output_len()];
        each_product(&conv, n, |xi, k, yi| {
            for j in 0..f {
                want[yi * f + j] += f64::from(x[xi]) * f64::from(w[k * f + j]);
            }
        });
        for level in Level::all() {
            let mut packed = unset(packed_forward_len(level, &conv));
            pack_forward(level, &conv, &w, &mut packed);
            let mut y = unset(want.len());
            forward(level, &conv, &x, &packed, None, false, &mut y);
            assert_close(&format!("{level:?} {conv:?}"), &y, &want);
            forward(level, &conv, &x, &packed, Some(&bias), true, &mut y);
            let rectified: Vec<f64> = (want.iter().enumerate())
                .map(|(i, y)| (y + f64::from(bias[i % f])).max(0.0))
                .collect();
            assert_close(&format!("rectified, {level:?} {conv:?}"), &y, &rectified);
        }
    }
}

fn check_backward_input(convs: impl Iterator<Item = Conv>) {
    for conv in convs.filter(|conv| conv.window.strides == [1, 1]) {
        let (n, f) = (2, conv.filters);
        let (dy, w) = (guarded(n * conv.output_len(), 1), guarded(conv.depth() * f, 2));
        let mut want = vec![0.0; n * conv.input_len()];
        each_product(&conv, n, |xi, k, yi| {
            for j in 0..f {
                want[xi] += f64::from(dy[yi * f + j]) * f64::from(w[k * f + j]);
            }
        });
        for level in Level::all() {
            let mut packed = unset(packed_backward_len(level, &conv));
            pack_backward(level, &conv, &w, &mut packed);
            let mut dx = unset(want.len());
            backward_input(level, &conv, &dy, &packed, &mut dx);
            assert_close(&format!("{level:?} {conv:?}"), &dx, &want);
        }
    }
}

fn check_backward_weights(convs: impl Iterator<Item = Conv>) {
    for conv in convs {
        for n in [0, 1, 3] {
            let f = conv.filters;
            let (x, dy) = (guarded(n * conv.input_len(), 1), guarded(n * conv.output_len(), 2));
            let (mut want, mut want_bias) = (vec![0.0; conv.depth() * f], vec![0.0; f]);
            each_product(&conv, n, |xi, k, yi| {
                for j in 0..f {
                    want[k * f + j] += f64::from(x[xi]) * f64::from(dy[yi * f + j]);
                }
            });
            dy.iter().enumerate().for_each(|(i, &dy)| want_bias[i % f] += f64::from(dy));
            for level in Level::all() {
                let mut scratch = unset(backward_weights_scratch(level, &conv, n));
                let (mut dw, mut db) = (unset(want.len()), unset(f));
                backward_weights(level, &conv, &x, &dy, &mut scratch, &mut dw, &mut db);
                assert_close(&format!("dw, {level:?} {conv:?}"), &dw, &want);
                assert_close(&format!("db, {level:?} {conv:?}"), &db, &want_bias);
            }
        }
    }
}

#[test]
fn forward_matches_its_definition() {
    check_forward(convs());
}

#[test]
fn backward_input_matches_its_definition() {
    check_backward_input(convs());
}

#[test]
fn backward_weights_match_their_definition() {
    check_backward_weights(convs());
}

#[test]
fn a_few_small_ones_match_their_definition() {
    check_forward(small_convs());
    check_backward_input(small_convs());
    check_backward_weights(small_convs());
}

#[test]
fn images_large_enough_for_several_tasks_give_the_same_bits_on_any_threads() {
    let window = Window::new([40, 24], [3, 3], [1, 1], [1, 1], Padding::Same).unwrap();
    for (channels, filters) in [(16, 40), (40, 5)] {
        let (conv, level, n) =
            (Conv { window, channels, filters, exact: true }, crate::kernels::simd::level(), 2);
        let (x, dy) = (floats(n * conv.input_len(), 1), floats(n * conv.output_len(), 2));
        let w = floats(conv.depth() * filters, 3);
        assert_same_bits(|| {
            let mut packed = vec![0.0; packed_forward_len(level, &conv)];
            pack_forward(level, &conv, &w, &mut packed);
            let mut y = vec![f32::NAN; dy.len()];
            forward(level, &conv, &x, &packed, None, false, &mut y);
            y
        });
        assert_same_bits(|| {
            let mut packed = vec![0.0; packed_backward_len(level, &conv)];
            pack_backward(level, &conv, &w, &mut packed);
            let mut dx = vec![f32::NAN; x.len()];
            backward_input(level, &conv, &dy, &packed, &mut dx);
            dx
        });
        assert_same_bits(|| {
            let mut scratch = vec![f32::NAN; backward_weights_scratch(level, &conv, n)];
            let (mut dw, mut db) = (vec![f32::NAN; w.len()], vec![f32::NAN; filters]);
            backward_weights(level, &conv, &x, &dy, &mut scratch, &mut dw, &mut db);
            dw.extend(db);
            dw
        });
    }
}

#[test]
fn relu_lets_nan_through() {
    let window = Window::new([4, 4], [3, 3], [1, 1], [1, 1], Padding::Valid).unwrap();
    for (level, filters) in Level::all().flat_map(|level| [(level, 1), (level, 33)]) {
        let conv = Conv { window, channels: 1, filters, exact: true };
        let mut packed = vec![0.0; packed_forward_len(level, &conv)];
        pack_forward(level, &conv, &vec![1.0; 9 * filters], &mut packed);
        let mut y = vec![0.0; conv.output_len()];
        forward(level, &conv, &[f32::NAN; 16], &packed, None, true, &mut y);
        assert!(y.iter().all(|y| y.is_nan()), "{level:?}: {y:?}");
    }
}
