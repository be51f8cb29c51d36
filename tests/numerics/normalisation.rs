//! Normalisation over the batch and over neighbouring channels.

use convnet::prelude::*;
use proptest::prelude::*;

use crate::bench::Bench;
use crate::numbers::{self, Kind};
use crate::reference::Number;
use crate::trying::{Judge, cases, of_sum};

/// One channel of a batch, in training.
struct Channel {
    y: Vec<Number>,
    dx: Vec<Number>,
    dgamma: Number,
    dbeta: Number,
    mean: Number,
    variance: Number,
}

/// Numbers may be lost where `x − mean` cancels, so the size of the normalised `x` is that of both.
fn channel(x: &[f64], dy: &[f64], [gamma, beta]: [f64; 2], epsilon: f64) -> Channel {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let typical = x.iter().map(|x| x.abs()).sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (variance + epsilon).sqrt();
    let hat: Vec<Number> = x
        .iter()
        .map(|x| Number { value: (x - mean) * scale, size: (x.abs() + typical) * scale })
        .collect();
    let of = |f: &dyn Fn(&Number, f64) -> f64| -> f64 {
        hat.iter().zip(dy).map(|(hat, &dy)| f(hat, dy)).sum()
    };
    let dbeta = Number { value: dy.iter().sum(), size: dy.iter().map(|dy| dy.abs()).sum() };
    let dgamma =
        Number { value: of(&|hat, dy| hat.value * dy), size: of(&|hat, dy| hat.size * dy.abs()) };
    let plain = of(&|hat, dy| (hat.value * dy).abs());
    let a = gamma * scale;
    let dx = hat.iter().zip(dy).map(|(hat, dy)| Number {
        value: a * (dy - dbeta.value / n - hat.value * dgamma.value / n),
        size: a.abs()
            * (dy.abs() + dbeta.size / n + (hat.size * plain + hat.value.abs() * dgamma.size) / n),
    });
    Channel {
        y: hat
            .iter()
            .map(|hat| Number {
                value: gamma * hat.value + beta,
                size: gamma.abs() * hat.size + beta.abs(),
            })
            .collect(),
        dx: dx.collect(),
        dgamma,
        dbeta,
        mean: Number { value: mean, size: typical },
        variance: Number { value: variance, size: variance + 1e-6 * typical * typical },
    }
}

/// Sums go over pieces of at most 128 rows, and those are added up in f64. A variance may be off by a share
/// of the squared mean too, 1e-6 of a unit, which is what a mean known to a unit costs; and by a unit for
/// every row of a piece, since squares are all of one sign.
///
/// A moving statistic is computed in f64 from its old value, which is exact, and the batch's: of the error of
/// that `1 − momentum` comes through, at most all of it. Rounding to f32 adds a unit.
#[test]
fn batch_normalization() {
    let sizes = (1..41usize, 1..7usize, 1..7usize, 1..71usize, any::<bool>());
    let more = (1e-5..0.1f64, 0.0..1.0f64);
    cases(64, (sizes, more, numbers::any()), |case, judge| {
        let ((n, h, w, c, deep), (epsilon, momentum), numbers) = case;
        let (rows, shape) = match deep {
            true => (n * h * w, [h, w, c].into()),
            false => (n, c.into()),
        };
        let (x, dy) = (numbers.floats(1, rows * c), numbers.floats(2, rows * c));
        let (gamma, beta) = (numbers.floats(3, c), numbers.floats(4, c));
        let moving_mean = numbers.floats(5, c);
        let moving_variance: Vec<f32> = numbers.floats(6, c).iter().map(|v| v.abs()).collect();
        let mut want_y = vec![Number::default(); rows * c];
        let mut want_dx = want_y.clone();
        let mut inference = want_y.clone();
        let [mut dgamma, mut dbeta, mut means, mut variances] = [(); 4].map(|()| Vec::new());
        for j in 0..c {
            let column = |of: &[f32]| -> Vec<f64> {
                of.iter().skip(j).step_by(c).map(|&x| x.into()).collect()
            };
            let parameters = [gamma[j], beta[j]].map(f64::from);
            let channel = channel(&column(&x), &column(&dy), parameters, epsilon);
            for row in 0..rows {
                want_y[row * c + j] = channel.y[row];
                want_dx[row * c + j] = channel.dx[row];
            }
            dgamma.push(channel.dgamma);
            dbeta.push(channel.dbeta);
            for (moving, batch, all) in [
                (moving_mean[j], channel.mean, &mut means),
                (moving_variance[j], channel.variance, &mut variances),
            ] {
                let share = |number, share| number * Number::exact(share);
                let kept = share(Number::exact(moving.into()), momentum);
                all.push(kept + share(batch, 1.0 - momentum));
            }
            let scale = 1.0 / (f64::from(moving_variance[j]) + epsilon).sqrt();
            for (x, y) in column(&x).iter().zip(inference.iter_mut().skip(j).step_by(c)) {
                let (mean, [gamma, beta]) = (f64::from(moving_mean[j]), parameters);
                *y = Number {
                    value: gamma * (x - mean) * scale + beta,
                    size: gamma.abs() * (x.abs() + mean.abs()) * scale + beta.abs(),
                };
            }
        }
        let bench = Bench {
            n,
            inputs: vec![(shape, &x)],
            weights: vec![
                ("gamma", &gamma),
                ("beta", &beta),
                ("moving_mean", &moving_mean),
                ("moving_variance", &moving_variance),
            ],
            in_lanes: false,
        };
        let layer = BatchNormalization::new().epsilon(epsilon).momentum(momentum);
        let got = bench.run(|| layer.into(), &dy);
        judge.within("BatchNormalization inference", &got.predicted, &inference, 8.0)?;
        let allowed = of_sum(rows.min(128));
        judge.within("BatchNormalization y", &got.y, &want_y, 4.0 + allowed)?;
        judge.within("BatchNormalization dx", &got.dx[0], &want_dx, 4.0 + allowed)?;
        let squares = rows.min(128) as f64;
        for (what, want, allowed) in [
            ("gamma", &dgamma, 4.0 + allowed),
            ("beta", &dbeta, allowed),
            ("moving_mean", &means, allowed + 1.0),
            ("moving_variance", &variances, allowed + squares + 1.0),
        ] {
            for found in got.gradients(what) {
                judge.within(&format!("BatchNormalization {what}"), found, want, allowed)?;
            }
        }
        Ok(())
    });
}

#[test]
fn local_response_normalization() {
    let sizes = (1..41usize, 1..6usize, 1..71usize, 0..5usize, any::<bool>());
    let settings = (0.1..4.0f64, 0.0..1.0f64, prop_oneof![Just(0.75), Just(0.5), 0.0..2.0f64]);
    cases(64, (sizes, settings, numbers::any()), |case, judge| {
        let ((n, across, c, radius, in_lanes), (k, alpha, beta), numbers) = case;
        // Squares of wide numbers differ by 120 powers of two; that is what this test is not about.
        prop_assume!(!matches!(numbers.kind, Kind::Wide));
        let shape = [across, c].into();
        let (x, dy) = (numbers.floats(1, n * across * c), numbers.floats(2, n * across * c));
        let layer = LocalResponseNormalization::new().n(2 * radius + 1);
        let layer = layer.k(k).alpha(alpha).beta(beta);
        // The layer computes with these rounded.
        let [k, alpha, beta] = [k, alpha, beta].map(|setting| f64::from(setting as f32));
        let near = |j: usize| j.saturating_sub(radius)..(j + radius + 1).min(c);
        let (mut want_y, mut want_dx) = (Vec::new(), Vec::new());
        for (x, dy) in x.chunks(c).zip(dy.chunks(c)) {
            let [x, dy]: [Vec<f64>; 2] = [x, dy].map(|of| of.iter().map(|&x| x.into()).collect());
            let sums: Vec<f64> =
                (0..c).map(|j| k + alpha * near(j).map(|i| x[i] * x[i]).sum::<f64>()).collect();
            for j in 0..c {
                want_y.push(Number::exact(x[j] * sums[j].powf(-beta)));
                let inner = |i: usize| Number::exact(dy[i] * x[i] * sums[i].powf(-beta - 1.0));
                let inner: Number = near(j).map(inner).sum();
                let factor = Number::exact(-2.0 * alpha * beta * x[j]);
                want_dx.push(Number::exact(dy[j] * sums[j].powf(-beta)) + factor * inner);
            }
        }
        let bench = Bench { n, inputs: vec![(shape, &x)], weights: vec![], in_lanes };
        let got = bench.run(|| layer.into(), &dy);
        let compare = |what: &str, got: &[f32], want: &[Number], judge: &Judge| {
            judge.within(what, got, want, 16.0)
        };
        compare("LocalResponseNormalization y", &got.y, &want_y, judge)?;
        compare("LocalResponseNormalization y", &got.predicted, &want_y, judge)?;
        compare("LocalResponseNormalization dx", &got.dx[0], &want_dx, judge)
    });
}

/// The reference judged itself: its gradients are the slopes of its values.
#[test]
fn the_reference_of_batch_normalization_is_its_own_gradient() {
    let x: Vec<f64> = (0..11).map(|i| (f64::from(i) * 1.7).sin() + 0.3).collect();
    let dy: Vec<f64> = (0..11).map(|i| (f64::from(i) * 0.9).cos()).collect();
    let loss = |x: &[f64], gamma: f64| -> f64 {
        let y = channel(x, &dy, [gamma, 0.2], 1e-3).y;
        y.iter().zip(&dy).map(|(y, dy)| y.value * dy).sum()
    };
    let of = channel(&x, &dy, [1.3, 0.2], 1e-3);
    for i in 0..x.len() {
        let moved = |by: f64| {
            let mut x = x.clone();
            x[i] += by;
            loss(&x, 1.3)
        };
        let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((slope - of.dx[i].value).abs() < 1e-8, "{slope} {}", of.dx[i].value);
    }
    let slope = loss(&x, 1.8) - loss(&x, 0.8);
    assert!((slope - of.dgamma.value).abs() < 1e-12);
}
