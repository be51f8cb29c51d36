use super::*;

/// `(a, b, tolerance)`: products of a few hundred terms near 1.
fn assert_close(what: &str, got: &[f32], want: &[f64]) {
    let largest = want.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(got) - want).abs() <= 1e-5 * largest, "{what} [{i}]: {got}, not {want}");
    }
}

/// Calls `f(x index, w index without filter, y index without filter)` for each product.
fn each_tap(conv: &Conv, n: usize, mut f: impl FnMut(usize, usize, usize)) {
    let Window { input: [h, w], kernel: [kh, kw], strides, dilation, before, output: [oh, ow] } =
        conv.window;
    for (i, oy, ox) in (0..n * oh * ow).map(|i| (i, i / ow % oh, i % ow)) {
        for (ky, kx, c) in (0..conv.depth())
            .map(|k| (k / conv.channels / kw, k / conv.channels % kw, k % conv.channels))
        {
            let y = (oy * strides[0] + ky * dilation[0]).wrapping_sub(before[0]);
            let x = (ox * strides[1] + kx * dilation[1]).wrapping_sub(before[1]);
            if y < h && x < w && ky < kh {
                let image = i / (oh * ow);
                f(
                    ((image * h + y) * w + x) * conv.channels + c,
                    (ky * kw + kx) * conv.channels + c,
                    i,
                );
            }
        }
    }
}

fn noise(len: usize, seed: u32) -> Vec<f32> {
    let hash = |i: usize| (i as u32 ^ seed.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
    (0..len)
        .map(|i| (hash(i) ^ hash(i) >> 13).wrapping_mul(0xc2b2_ae35) as f32 / 2e9 - 1.0)
        .collect()
}

/// `(input, kernel, strides, dilation, same, channels, filters)`.
fn convs() -> Vec<Conv> {
    let mut convs = Vec::new();
    for (input, kernel, strides, dilation) in [
        ([1, 1], [1, 1], [1, 1], [1, 1]),
        ([5, 7], [1, 1], [1, 1], [1, 1]),
        ([7, 5], [1, 1], [2, 3], [1, 1]),
        ([6, 15], [3, 3], [1, 1], [1, 1]),
        ([9, 29], [5, 5], [1, 1], [1, 1]),
        ([13, 13], [2, 4], [1, 1], [1, 1]),
        ([14, 14], [3, 2], [2, 1], [1, 1]),
        ([23, 23], [11, 11], [4, 4], [1, 1]),
        ([11, 10], [2, 2], [3, 4], [1, 1]),
        ([4, 17], [4, 3], [2, 2], [1, 1]),
        ([9, 11], [3, 3], [1, 1], [2, 3]),
        ([2, 3], [5, 5], [1, 1], [1, 1]),
    ] {
        for (channels, filters) in [(1, 1), (1, 6), (3, 16), (5, 17), (2, 33), (17, 3), (33, 32)] {
            for same in [false, true] {
                if let Some(window) = window(input, kernel, strides, dilation, same) {
                    convs.push(Conv { window, channels, filters });
                }
            }
        }
    }
    convs
}

/// Keras' rules for "same" and "valid"; none if no window fits.
pub(super) fn window(
    input: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilation: [usize; 2],
    same: bool,
) -> Option<Window> {
    let (mut before, mut output) = ([0; 2], [0; 2]);
    for axis in [0, 1] {
        let covered = (kernel[axis] - 1) * dilation[axis] + 1;
        if same {
            output[axis] = input[axis].div_ceil(strides[axis]);
            let reach = (output[axis] - 1) * strides[axis] + covered;
            before[axis] = reach.saturating_sub(input[axis]) / 2;
        } else {
            output[axis] = input[axis].checked_sub(covered)? / strides[axis] + 1;
        }
    }
    Some(Window { input, kernel, strides, dilation, before, output })
}

#[test]
fn forward_matches_its_definition() {
    for conv in convs() {
        let (n, f) = (2, conv.filters);
        let (x, w) = (noise(n * conv.input_len(), 1), noise(conv.depth() * f, 2));
        let bias = noise(f, 3);
        let mut want = vec![0.0; n * conv.output_len()];
        each_tap(&conv, n, |xi, k, yi| {
            for j in 0..f {
                want[yi * f + j] += f64::from(x[xi]) * f64::from(w[k * f + j]);
            }
        });
        for level in Level::all() {
            let mut packed = vec![f32::NAN; packed_forward_len(level, &conv)];
            pack_forward(level, &conv, &w, &mut packed);
            let mut y = vec![f32::NAN; want.len()];
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

#[test]
fn backward_input_matches_its_definition() {
    for conv in convs() {
        let (n, f) = (2, conv.filters);
        let (dy, w) = (noise(n * conv.output_len(), 1), noise(conv.depth() * f, 2));
        let mut want = vec![0.0; n * conv.input_len()];
        each_tap(&conv, n, |xi, k, yi| {
            for j in 0..f {
                want[xi] += f64::from(dy[yi * f + j]) * f64::from(w[k * f + j]);
            }
        });
        for level in Level::all() {
            let mut packed = vec![f32::NAN; packed_backward_len(level, &conv)];
            pack_backward(level, &conv, &w, &mut packed);
            let mut dx = vec![f32::NAN; want.len()];
            backward_input(level, &conv, &dy, &packed, &mut dx);
            assert_close(&format!("{level:?} {conv:?}"), &dx, &want);
        }
    }
}

#[test]
fn backward_weights_match_their_definition() {
    for conv in convs() {
        for n in [0, 1, 3] {
            let f = conv.filters;
            let (x, dy) = (noise(n * conv.input_len(), 1), noise(n * conv.output_len(), 2));
            let (mut want, mut want_bias) = (vec![0.0; conv.depth() * f], vec![0.0; f]);
            each_tap(&conv, n, |xi, k, yi| {
                for j in 0..f {
                    want[k * f + j] += f64::from(x[xi]) * f64::from(dy[yi * f + j]);
                }
            });
            dy.iter().enumerate().for_each(|(i, &dy)| want_bias[i % f] += f64::from(dy));
            for level in Level::all() {
                let mut scratch = vec![f32::NAN; backward_weights_scratch(level, &conv, n)];
                let (mut dw, mut db) = (vec![f32::NAN; want.len()], vec![f32::NAN; f]);
                backward_weights(level, &conv, &x, &dy, &mut scratch, &mut dw, &mut db);
                assert_close(&format!("dw, {level:?} {conv:?}"), &dw, &want);
                assert_close(&format!("db, {level:?} {conv:?}"), &db, &want_bias);
            }
        }
    }
}
