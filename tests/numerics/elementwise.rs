//! Layers that work number by number, and those that only move numbers.

use convnet::Shape;
use convnet::layers::{Interpolation, LayerSpec};
use convnet::prelude::*;
use proptest::prelude::*;

use crate::bench::{Bench, Outcome};
use crate::numbers::{self, Numbers};
use crate::reference::{Bilinear, Number, exact, normal_cdf, slope};
use crate::trying::{Judge, cases};

/// A batch of images, and how they lie.
type Images = (usize, [usize; 3], bool);

fn images() -> impl Strategy<Value = Images> {
    (1..41usize, [1..8usize, 1..8, 1..71], any::<bool>())
        .prop_map(|(n, [h, w, c], in_lanes)| (n.min(60_000 / (h * w * c)), [h, w, c], in_lanes))
}

fn alone(
    (n, shape, in_lanes): Images,
    layer: impl Fn() -> LayerSpec,
    x: &[f32],
    dy: &[f32],
) -> Outcome {
    Bench { n, inputs: vec![(shape.into(), x)], weights: vec![], in_lanes }.run(layer, dy)
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn by_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    // x/2 · (1 + tanh) without the cancellation at negative numbers.
    x * logistic(2.0 * inner)
}

type Function = fn(f64) -> f64;

/// An activation, its definition, and the units of its size that it and its slope may be off by. The
/// size is the largest of what is added up: of `tanh` itself, of `elu` and the slopes 1.
fn activations() -> [(Activation, Function, f64); 10] {
    [
        (Linear, |x| x, 0.0),
        (Relu, |x| x.max(0.0), 0.0),
        (LeakyRelu, |x| if x > 0.0 { x } else { 0.2 * x }, 2.0),
        (Relu6, |x| x.clamp(0.0, 6.0), 0.0),
        (Tanh, f64::tanh, 6.0),
        (Sigmoid, logistic, 6.0),
        (Elu, |x| if x > 0.0 { x } else { x.exp_m1() }, 6.0),
        (Gelu, |x| x * normal_cdf(x), 8.0),
        (GeluApproximate, by_tanh, 8.0),
        (Silu, |x| x * logistic(x), 6.0),
    ]
}

#[test]
fn activation_functions() {
    let strategy = (0..10usize, images(), numbers::even(), -8..3i32);
    cases(128, strategy, |(which, images, numbers, exponent), judge| {
        let (activation, f, allowed) = activations()[which];
        let (n, [h, w, c], _) = images;
        let spread = 10.0_f32.powi(exponent);
        let mut x = numbers.floats(1, n * h * w * c);
        x.iter_mut().for_each(|x| *x *= spread);
        // Differences would straddle the corners of piecewise functions.
        let corner = |x: f64| x.abs() < 1e-3 || (x.abs() - 6.0).abs() < 2e-3;
        let mut dy = numbers.floats(2, x.len());
        for (dy, &x) in dy.iter_mut().zip(&x) {
            if corner(x.into()) && spread > 1e-2 {
                *dy = 0.0;
            }
        }
        let size = |x: f64, y: f64| match activation {
            // What is near 1 or −1 before it is multiplied with x.
            Gelu | GeluApproximate => x.abs().min(1.0 + y.abs()),
            // A product with a logistic function that is rounded as the least numbers are.
            Silu => y.abs() + x.abs() * f64::from(f32::MIN_POSITIVE),
            _ => y.abs(),
        };
        let y: Vec<Number> = x
            .iter()
            .map(|&x| f64::from(x))
            .map(|x| Number { value: f(x), size: size(x, f(x)) })
            .collect();
        let got = alone(images, || activation.into(), &x, &dy);
        let name = format!("{activation:?}");
        judge.within(&format!("{name} y"), &got.y, &y, allowed)?;
        judge.within(&format!("{name} y"), &got.predicted, &y, allowed)?;
        if spread > 1e-2 {
            // What is near 1 is multiplied with x in the slopes too; from 17 on it is 1.
            let factor = |x: f64| match activation {
                Gelu | GeluApproximate | Silu => 1.0 + x.abs().min(17.0),
                _ => 1.0,
            };
            let dx: Vec<Number> = x
                .iter()
                .map(|&x| f64::from(x))
                .zip(exact(&dy))
                .map(|(x, dy)| Number { value: slope(f, x) * dy.value, size: dy.size * factor(x) })
                .collect();
            judge.within(&format!("{name} dx"), &got.dx[0], &dx, allowed.max(1.0) + 4.0)?;
        }
        Ok(())
    });
}

/// `ReLU` with all its settings, `LeakyReLU`, `Rescaling`.
#[test]
fn piecewise_linear_layers() {
    let settings =
        (0.0..2.0f64, 0.0..1.0f64, prop_oneof![Just(None), (2.0..8.0f64).prop_map(Some)]);
    cases(64, (settings, images(), numbers::any()), |(settings, images, numbers), judge| {
        let (threshold, slope, most) = settings;
        let (n, [h, w, c], _) = images;
        let mut x = numbers.floats(1, n * h * w * c);
        x.iter_mut().for_each(|x| *x *= 8.0);
        let dy = numbers.floats(2, x.len());
        let [low, by, top] =
            [threshold, slope, most.unwrap_or(f64::INFINITY)].map(|s| f64::from(s as f32));

        let relu = ReLU::new().threshold(threshold).negative_slope(slope);
        let relu = most.map_or(relu, |most| relu.max_value(most));
        let part = |x: f32, dy: f32| {
            let (x, dy) = (f64::from(x), f64::from(dy));
            if x <= low {
                (Number { value: by * (x - low), size: by * (x.abs() + low) }, by * dy)
            } else if x < top {
                (Number::exact(x), dy)
            } else {
                (Number::exact(top), 0.0)
            }
        };
        let (y, dx): (Vec<_>, Vec<_>) = x.iter().zip(&dy).map(|(&x, &dy)| part(x, dy)).unzip();
        let dx: Vec<Number> = dx.into_iter().map(Number::exact).collect();
        let got = alone(images, || relu.into(), &x, &dy);
        judge.within("ReLU y", &got.y, &y, 4.0)?;
        judge.within("ReLU y", &got.predicted, &y, 4.0)?;
        judge.within("ReLU dx", &got.dx[0], &dx, 1.0)?;

        let leaky = LeakyReLU::new().negative_slope(slope);
        let part = |x: f32, of: f32| Number::exact(f64::from(of) * if x > 0.0 { 1.0 } else { by });
        let y: Vec<Number> = x.iter().map(|&x| part(x, x)).collect();
        let dx: Vec<Number> = x.iter().zip(&dy).map(|(&x, &dy)| part(x, dy)).collect();
        let got = alone(images, || leaky.into(), &x, &dy);
        judge.within("LeakyReLU y", &got.y, &y, 1.0)?;
        judge.within("LeakyReLU dx", &got.dx[0], &dx, 1.0)?;

        let rescaling = Rescaling::new(slope).offset(threshold);
        let scaled = |of: f32| Number::exact(f64::from(of)) * Number::exact(by);
        let y: Vec<Number> = x.iter().map(|&x| scaled(x) + Number::exact(low)).collect();
        let dx: Vec<Number> = dy.iter().map(|&dy| scaled(dy)).collect();
        let got = alone(images, || rescaling.into(), &x, &dy);
        judge.within("Rescaling y", &got.y, &y, 2.0)?;
        judge.within("Rescaling dx", &got.dx[0], &dx, 1.0)
    });
}

#[test]
fn merging_layers() {
    let strategy = (2..5usize, images(), numbers::any());
    cases(64, strategy, |(count, (n, [h, w, c], in_lanes), numbers), judge| {
        let shape = Shape::from([h, w, c]);
        let x: Vec<Vec<f32>> =
            (0..count).map(|i| numbers.floats(i as u64, n * shape.size())).collect();
        let dy = numbers.floats(99, n * shape.size());
        let inputs = || x.iter().map(|x| (shape.clone(), &x[..])).collect();
        let bench = Bench { n, inputs: inputs(), weights: vec![], in_lanes };
        let at = |i: usize| x.iter().map(move |x| Number::exact(x[i].into()));
        let places = 0..dy.len();
        let upstream = exact(&dy);

        let sums: Vec<Number> = places.clone().map(|i| at(i).sum()).collect();
        let got = bench.run(|| Add::new().into(), &dy);
        judge.within("Add y", &got.y, &sums, count as f64 - 1.0)?;
        judge.within("Add y", &got.predicted, &sums, count as f64 - 1.0)?;
        for dx in &got.dx {
            judge.exactly("dx of a sum", dx, &dy)?;
        }

        let share = Number::exact(1.0 / count as f64);
        let means: Vec<Number> = sums.iter().map(|&sum| sum * share).collect();
        let dx: Vec<Number> = upstream.iter().map(|&dy| dy * share).collect();
        let got = bench.run(|| Average::new().into(), &dy);
        judge.within("Average y", &got.y, &means, count as f64 + 1.0)?;
        for found in &got.dx {
            judge.within("Average dx", found, &dx, 2.0)?;
        }

        let product = |i: usize, but: usize| {
            let factors = at(i).enumerate().filter(|(k, _)| *k != but).map(|(_, x)| x);
            factors.fold(Number::exact(1.0), |a, b| a * b)
        };
        let y: Vec<Number> = places.clone().map(|i| product(i, usize::MAX)).collect();
        let got = bench.run(|| Multiply::new().into(), &dy);
        judge.within("Multiply y", &got.y, &y, count as f64 - 1.0)?;
        for (k, found) in got.dx.iter().enumerate() {
            let dx: Vec<Number> = places.clone().map(|i| product(i, k) * upstream[i]).collect();
            judge.within("Multiply dx", found, &dx, count as f64)?;
        }
        Ok(())
    });
}

/// Nothing is rounded: what comes out went in.
#[test]
fn layers_that_move_numbers() {
    let strategy = (images(), [0..4usize, 0..4, 0..4, 0..4], 1..30usize, numbers::any());
    cases(48, strategy, |(images, [top, bottom, left, right], more, numbers), judge| {
        let (n, [h, w, c], in_lanes) = images;
        let x = numbers.floats(1, n * h * w * c);

        // The place in x of every number of the padded images.
        let (rows, columns) = (top + h + bottom, left + w + right);
        let place = |i: usize| {
            let (pixel, channel) = (i / c, i % c);
            let [y, x] = [pixel / columns % rows, pixel % columns];
            let inside = (top..top + h).contains(&y) && (left..left + w).contains(&x);
            let image = pixel / (rows * columns);
            inside.then(|| ((image * h + y - top) * w + x - left) * c + channel)
        };
        let dy = numbers.floats(2, n * rows * columns * c);
        let mut dx = vec![f32::NAN; x.len()];
        (0..dy.len()).filter_map(|i| place(i).map(|to| (i, to))).for_each(|(i, to)| dx[to] = dy[i]);
        let y: Vec<f32> = (0..dy.len()).map(|i| place(i).map_or(0.0, |from| x[from])).collect();
        let layer = ZeroPadding2D::new(((top, bottom), (left, right)));
        let got = alone(images, || layer.into(), &x, &dy);
        judge.exactly("ZeroPadding2D y", &got.y, &y)?;
        judge.exactly("ZeroPadding2D y", &got.predicted, &y)?;
        judge.exactly("ZeroPadding2D dx", &got.dx[0], &dx)?;

        let dy = numbers.floats(3, x.len());
        for layer in [LayerSpec::from(Flatten::new()), Reshape::new([-1, c as isize]).into()] {
            let got = alone(images, || layer.clone(), &x, &dy);
            judge.exactly("y", &got.y, &x)?;
            judge.exactly("dx", &got.dx[0], &dy)?;
        }

        let other = numbers.floats(4, n * h * w * more);
        let dy = numbers.floats(5, x.len() + other.len());
        let inputs = vec![([h, w, c].into(), &x[..]), ([h, w, more].into(), &other)];
        let bench = Bench { n, inputs, weights: vec![], in_lanes };
        let got = bench.run(|| Concatenate::new().into(), &dy);
        let joined: Vec<f32> = x
            .chunks(c)
            .zip(other.chunks(more))
            .flat_map(|(x, other)| [x, other].concat())
            .collect();
        judge.exactly("Concatenate y", &got.y, &joined)?;
        let parts = |from: usize, to: usize| -> Vec<f32> {
            dy.chunks(c + more).flat_map(|row| row[from..to].to_vec()).collect()
        };
        judge.exactly("Concatenate dx", &got.dx[0], &parts(0, c))?;
        judge.exactly("Concatenate dx", &got.dx[1], &parts(c, c + more))
    });
}

/// From which cells of an axis a cell of the resized one comes, and how much of each. The place is
/// computed in f32, as TensorFlow does: a nearest cell is a matter of that rounding, and the weights are
/// known to as many units as the place is large.
fn sources(from: usize, to: usize, cell: usize, nearest: bool) -> Vec<(usize, Number)> {
    let place = (cell as f32 + 0.5) * (from as f32 / to as f32);
    if nearest {
        return vec![((place as usize).min(from - 1), Number::exact(1.0))];
    }
    let place = (cell as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let cell = |cell: f64| cell.clamp(0.0, from as f64 - 1.0) as usize;
    let share = place - place.floor();
    [(place.floor(), 1.0 - share), (place.floor() + 1.0, share)]
        .map(|(at, share)| (cell(at), Number { value: share, size: share + 1.0 + place.abs() }))
        .to_vec()
}

#[test]
fn resized_images() {
    let strategy = (images(), [1..16usize, 1..16], any::<bool>(), numbers::any());
    let test = |(images, [oh, ow], nearest, numbers): (Images, [usize; 2], bool, Numbers),
                judge: &Judge| {
        let (n, [h, w, c], _) = images;
        let x = numbers.floats(1, n * h * w * c);
        let dy = numbers.floats(2, n * oh * ow * c);
        // A kernel that holds all shares, anew for every output.
        let (mut shares, mut products) = (Vec::new(), Vec::new());
        for output in 0..n * oh * ow {
            let (image, y, x) = (output / (oh * ow), output / ow % oh, output % ow);
            for (row, down) in sources(h, oh, y, nearest) {
                for (column, along) in sources(w, ow, x, nearest) {
                    let pixel = (image * h + row) * w + column;
                    let share = shares.len();
                    shares.push(down * along);
                    products.extend((0..c).map(|k| [pixel * c + k, share, output * c + k]));
                }
            }
        }
        let want = Bilinear::new(&exact(&x), &shares, &exact(&dy), |product| {
            products.iter().for_each(|&places| product(places));
        });
        let interpolation = if nearest { Interpolation::Nearest } else { Interpolation::Bilinear };
        let layer = Resizing::new(oh, ow).interpolation(interpolation);
        let got = alone(images, || layer.into(), &x, &dy);
        let meeting = (oh.div_ceil(h) + 1) * (ow.div_ceil(w) + 1) * 4;
        judge.sum("Resizing y", &got.y, &want.y, 4)?;
        judge.sum("Resizing y", &got.predicted, &want.y, 4)?;
        judge.sum("Resizing dx", &got.dx[0], &want.dx, meeting)
    };
    cases(48, strategy, test);
}
