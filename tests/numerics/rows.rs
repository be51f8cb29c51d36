//! Dense layers and softmax, which take rows of the last axis.

use convnet::Shape;
use convnet::prelude::*;
use proptest::prelude::*;

use crate::bench::Bench;
use crate::numbers;
use crate::reference::{Bilinear, Number, add_bias, column_sums, exact};
use crate::trying::cases;

#[test]
fn dense_layers_of_any_size() {
    let sizes = (1..41usize, 1..4usize, 1..300usize, 1..71usize);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    cases(48, (sizes, flags, numbers::any()), |case, judge| {
        let ((n, across, inputs, units), (deep, has_bias, in_lanes), numbers) = case;
        // Several rows a sample, or one.
        let across = if deep { across } else { 1 };
        let shape = if deep { Shape::from([across, inputs]) } else { Shape::from(inputs) };
        let rows = n * across;
        let x = numbers.floats(1, rows * inputs);
        let w = numbers.floats(2, inputs * units);
        let bias = numbers.floats(3, if has_bias { units } else { 0 });
        let dy = numbers.floats(4, rows * units);
        let mut want = Bilinear::new(&exact(&x), &exact(&w), &exact(&dy), |product| {
            for i in 0..rows * inputs * units {
                let (row, input, unit) = (i / units / inputs, i / units % inputs, i % units);
                product([row * inputs + input, i % (inputs * units), row * units + unit]);
            }
        });
        add_bias(&mut want.y, &bias);
        let mut weights = vec![("kernel", &w[..]), ("bias", &bias)];
        weights.truncate(1 + usize::from(has_bias));
        let bench = Bench { n, inputs: vec![(shape, &x)], weights, in_lanes };
        let got = bench.run(|| Dense::new(units).use_bias(has_bias).into(), &dy);
        judge.sum("Dense y", &got.y, &want.y, inputs + 1)?;
        judge.sum("Dense y", &got.predicted, &want.y, inputs + 1)?;
        judge.sum("Dense dx", &got.dx[0], &want.dx, units)?;
        for dw in got.gradients("kernel") {
            judge.sum("Dense dw", dw, &want.dw, rows)?;
        }
        if has_bias {
            for dbias in got.gradients("bias") {
                judge.sum("Dense dbias", dbias, &column_sums(&exact(&dy), units), rows)?;
            }
        }
        Ok(())
    });
}

/// Softmax of scores that are up to `spread` apart: `y`, and `dx` from `dy`. A score `s` is known to
/// `|s − max|` units, so that this is what its power may be off by.
pub(crate) fn softmax(scores: &[f32], dy: &[f32]) -> (Vec<Number>, Vec<Number>) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = scores.iter().map(|&s| f64::from(s) - f64::from(largest)).collect();
    let sum: f64 = shifted.iter().map(|s| s.exp()).sum();
    let y: Vec<Number> = shifted
        .iter()
        .map(|s| s.exp() / sum)
        .zip(&shifted)
        .map(|(p, s)| Number { value: p, size: p * (1.0 + s.abs()) })
        .collect();
    let dot: Number = y.iter().zip(exact(dy)).map(|(&y, dy)| y * dy).sum();
    let gradient = |(y, dy): (&Number, Number)| Number {
        value: y.value * (dy.value - dot.value),
        size: y.size * (dy.size + dot.size),
    };
    let dx = y.iter().zip(exact(dy)).map(gradient).collect();
    (y, dx)
}

#[test]
fn softmax_of_any_scores() {
    let sizes = (1..41usize, 1..5usize, 1..120usize, 0..5i32);
    cases(64, (sizes, numbers::even()), |((n, across, c, decade), numbers), judge| {
        // Up to ±10⁴.
        let spread = 10.0_f32.powi(decade);
        let mut x = numbers.floats(1, n * across * c);
        x.iter_mut().for_each(|x| *x *= spread);
        let dy = numbers.floats(2, x.len());
        let rows = x.chunks(c).zip(dy.chunks(c)).map(|(x, dy)| softmax(x, dy));
        let (y, dx): (Vec<_>, Vec<_>) = rows.unzip();
        let (y, dx) = (y.concat(), dx.concat());
        let bench =
            Bench { n, inputs: vec![([across, c].into(), &x)], weights: vec![], in_lanes: false };
        let got = bench.run(|| Softmax.into(), &dy);
        judge.sum("Softmax y", &got.y, &y, c)?;
        judge.sum("Softmax y", &got.predicted, &y, c)?;
        judge.sum("Softmax dx", &got.dx[0], &dx, c)?;
        for row in got.y.chunks(c) {
            let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
            prop_assert!((sum - 1.0).abs() < 1e-6, "probabilities add up to {sum}");
        }
        Ok(())
    });
}
