use super::*;
use crate::kernels::buffer::Buffer;
use crate::kernels::guarded::Guarded;
use proptest::prelude::*;

/// The definition, in f64: calls `f(x, w, y)` with the indices of each product of the convolution.
fn products(window: &Window, [n, c, f]: [usize; 3], mut call: impl FnMut(usize, usize, usize)) {
    let ([h, w], [oh, ow], k) = (window.input, window.output, window.kernel[0]);
    for i in 0..n * oh * ow * k * k {
        let (tap, y) = (i % (k * k), i / (k * k));
        let (image, row, column) = (y / (oh * ow), y / ow % oh + tap / k, y % ow + tap % k);
        let [row, column] =
            [row.wrapping_sub(window.before[0]), column.wrapping_sub(window.before[1])];
        if row < h && column < w {
            let x = (image * h + row) * w + column;
            for (c_, f_) in (0..c).flat_map(|c_| (0..f).map(move |f_| (c_, f_))) {
                call(x * c + c_, (tap * c + c_) * f + f_, y * f + f_);
            }
        }
    }
}

/// Floats of either sign up to one, different for each seed.
fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// The largest difference over the largest expected value, or over `size` if that is larger.
fn error(found: &[f32], expected: &[f64], size: f64) -> f64 {
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let difference =
        largest(&mut found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs()));
    difference / largest(&mut expected.iter().map(|x| x.abs())).max(size).max(1e-3)
}

struct Results {
    y: Guarded,
    dx: Guarded,
    dw: Guarded,
}

fn compute(
    level: Level,
    window: &Window,
    dims: [usize; 3],
    [x, w, bias, dy]: [&[f32]; 4],
    relu: bool,
) -> Results {
    let [_, c, f] = dims;
    let [mut y, mut dx, mut dw] = [dy, x, w].map(|like| Guarded::new(&vec![f32::NAN; like.len()]));
    let mut u = Buffer::zeros(weights_len([c, f]));
    transform_weights(level, window, [c, f], w, &mut u);
    forward(level, window, dims, x, &u, Some(bias), relu, &mut y);
    let mut u = Buffer::zeros(weights_len([f, c]));
    transform_weights_back(level, window, [c, f], w, &mut u);
    backward_input(level, window, dims, dy, &u, &mut dx);
    backward_weights(level, window, dims, x, dy, &mut dw);
    Results { y, dx, dw }
}

/// Checks all three passes at all levels against the definition.
fn check(window: &Window, dims: [usize; 3], relu: bool) {
    let [n, c, f] = dims;
    let pixels = |[h, w]: [usize; 2]| n * h * w;
    let guarded = |len, seed| Guarded::new(&random(len, seed));
    let x = guarded(pixels(window.input) * c, 1);
    let w = guarded(window.kernel[0] * window.kernel[1] * c * f, 2);
    let bias = guarded(f, 3);
    let dy = guarded(pixels(window.output) * f, 4);
    let mut y: Vec<f64> = (0..dy.len()).map(|i| f64::from(bias[i % f])).collect();
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    // How large a sum may be expected to be: few sums may all happen to cancel, or be cut off by ReLU.
    let mut squares = [vec![0.0; y.len()], vec![0.0; dx.len()], vec![0.0; dw.len()]];
    let [y2, dx2, dw2] = &mut squares;
    products(window, dims, |i, j, k| {
        let [x, w, dy] = [x[i], w[j], dy[k]].map(f64::from);
        for (sum, square, product) in [
            (&mut y[k], &mut y2[k], x * w),
            (&mut dx[i], &mut dx2[i], dy * w),
            (&mut dw[j], &mut dw2[j], dy * x),
        ] {
            *sum += product;
            *square += product * product;
        }
    });
    let sizes = squares.map(|squares| squares.into_iter().fold(0.0, f64::max).sqrt());
    if relu {
        y.iter_mut().for_each(|y| *y = y.max(0.0));
    }
    for level in Level::all() {
        let found = compute(level, window, dims, [&x, &w, &bias, &dy], relu);
        let all = [("y", found.y, &y), ("dx", found.dx, &dx), ("dw", found.dw, &dw)];
        for ((name, found, expected), size) in all.into_iter().zip(sizes) {
            let error = error(&found, expected, size);
            assert!(error < BOUND, "{level:?} {window:?} {dims:?}: {name} is off by {error:e}");
        }
    }
}

/// Largest error over the largest value. Seen in a thousand geometries: 6e-6.
const BOUND: f64 = 1.2e-5;

fn window(input: [usize; 2], k: usize, before: [usize; 2], after: [usize; 2]) -> Window {
    let output = [0, 1].map(|i| input[i] + before[i] + after[i] + 1 - k);
    Window { input, kernel: [k, k], strides: [1, 1], dilation: [1, 1], before, output }
}

#[test]
fn only_where_windows_are_neighbours_without_gaps_and_see_the_image() {
    for k in [3, 5] {
        let near = window([9, 9], k, [k - 1; 2], [1, 1]);
        assert!(applies(&near));
        for axis in [0, 1] {
            let mut far = [near; 3];
            far[0].strides[axis] = 2;
            far[1].dilation[axis] = 2;
            far[2].before[axis] = k;
            assert!(far.iter().all(|window| !applies(window)), "{far:?}");
        }
    }
}

#[test]
fn every_image_size_same_and_valid() {
    for k in [3, 5] {
        for size in [1, 2, 3, 4, 5, 6, 7, 8, 9, 13] {
            let same = [k / 2, k / 2];
            check(&window([size, 14 - size], k, same, same), [1, 17, 33], false);
            if size >= k {
                check(&window([size, size], k, [0, 0], [0, 0]), [2, 16, 31], true);
            }
        }
    }
}

#[test]
fn a_small_image_of_few_channels() {
    check(&window([3, 4], 3, [1, 1], [1, 1]), [1, 2, 3], true);
}

#[test]
fn several_tasks_of_several_blocks_of_channels_and_filters() {
    check(&window([4, 5], 3, [1, 1], [1, 1]), [1, 130, 200], false);
}

#[test]
fn nothing_in_nothing_out() {
    check(&window([5, 5], 3, [1, 1], [1, 1]), [0, 3, 2], false);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_geometry(
        size in [1..10usize, 1..10usize],
        k in prop_oneof![Just(3usize), Just(5)],
        before in [0..5usize, 0..5usize],
        after in [0..5usize, 0..5usize],
        dims in [1..18usize, 1..41usize, 1..41usize],
        relu: bool,
    ) {
        let before = before.map(|b| b % k);
        // At least what makes one window fit.
        let after = [0, 1].map(|i| (after[i] % k).max(k.saturating_sub(size[i] + before[i])));
        check(&window(size, k, before, after), dims, relu);
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    for (k, channels, filters) in [(3, 150, 140), (5, 40, 290)] {
        let window = window([13, 13], k, [k / 2; 2], [k / 2; 2]);
        let dims = [5, channels, filters];
        let x = random(5 * 169 * channels, 1);
        let w = random(k * k * channels * filters, 2);
        let bias = random(filters, 3);
        let dy = random(5 * 169 * filters, 4);
        let bits = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let all = pool.install(|| {
                compute(crate::kernels::simd::level(), &window, dims, [&x, &w, &bias, &dy], true)
            });
            [all.y, all.dx, all.dw].map(|a| a.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        });
        assert_eq!(bits[0], bits[1]);
        assert_eq!(bits[0], bits[2]);
    }
}

#[test]
fn not_a_number_passes_through_relu() {
    let window = window([4, 4], 3, [1, 1], [1, 1]);
    let nan = [f32::NAN; 16];
    let found = compute(Level::Plain, &window, [1, 1, 1], [&nan, &[1.0; 9], &[0.0], &nan], true);
    assert!(found.y.iter().all(|y| y.is_nan()));
}
