//! Losses on probabilities and, with the activation that belongs to them, on scores.

use convnet::losses::IntoLosses;
use convnet::prelude::*;
use ndarray::{ArrayD, ArrayView};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::bench::gradient_of;
use crate::numbers::{self, Random};
use crate::reference::Number;
use crate::rows::softmax;
use crate::trying::cases;

/// A batch of scores or answers, of which each sample has so many rows.
#[derive(Clone, Copy, Debug)]
struct Batch {
    n: usize,
    rows: usize,
    classes: usize,
    seed: u64,
}

fn batches() -> impl Strategy<Value = Batch> {
    let sizes = (1..41usize, 1..5usize, 2..40usize, 0..u64::MAX);
    sizes.prop_map(|(n, rows, classes, seed)| Batch { n, rows, classes, seed })
}

impl Batch {
    fn len(&self) -> usize {
        self.n * self.rows * self.classes
    }

    fn dims(&self) -> [usize; 3] {
        [self.n, self.rows, self.classes]
    }

    /// Rows of targets that sum to 1.
    fn targets(&self) -> Vec<f32> {
        let mut random = Random::new(self.seed);
        let mut targets = Vec::new();
        for _ in 0..self.n * self.rows {
            let row: Vec<f32> = (0..self.classes).map(|_| random.even() + 1.0).collect();
            let sum: f32 = row.iter().sum();
            targets.extend(row.iter().map(|t| t / sum.max(1e-3)));
        }
        targets
    }

    /// The loss of a batch and its gradient, from an activation of its own.
    fn run(
        &self,
        loss: impl IntoLosses,
        activation: Activation,
        x: &[f32],
        targets: &[f32],
    ) -> (f64, Vec<f32>) {
        let shape = |floats: &[f32]| ArrayD::from_shape_vec(self.dims().to_vec(), floats.to_vec());
        gradient_of(loss, activation, &shape(x).unwrap(), &shape(targets).unwrap())
    }
}

/// A number near another, by units of a size.
fn assert_loss(got: f64, want: Number, units: f64) -> Result<(), TestCaseError> {
    let error = (got - want.value).abs() / (crate::trying::UNIT * want.size);
    prop_assert!(error <= units, "the loss is {got}, not {}: {error} units", want.value);
    Ok(())
}

/// Scores of up to ±10⁴: loss and gradient are finite and right.
#[test]
fn crossentropy_of_scores() {
    cases(64, (batches(), numbers::even(), 0..5i32), |(batch, numbers, decade), judge| {
        let spread = 10.0_f32.powi(decade);
        let mut x = numbers.floats(1, batch.len());
        x.iter_mut().for_each(|x| *x *= spread);
        let targets = batch.targets();
        let all = (batch.n * batch.rows) as f64;
        let (mut loss, mut dx) = (Number::default(), Vec::new());
        for (x, t) in x.chunks(batch.classes).zip(targets.chunks(batch.classes)) {
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (largest, zeros) = (f64::from(largest), vec![0.0; x.len()]);
            let sum: f64 = x.iter().map(|&x| (f64::from(x) - largest).exp()).sum();
            let total: f64 = t.iter().map(|&t| f64::from(t)).sum();
            for (&x, &t) in x.iter().zip(t) {
                let below = Number::exact(sum.ln()) + Number::exact(largest - f64::from(x));
                loss = loss + Number::exact(f64::from(t) / all) * below;
            }
            for (p, &t) in softmax(x, &zeros).0.iter().zip(t) {
                let (p, t) = (Number { value: p.value * total, ..*p }, f64::from(t));
                dx.push(Number { value: (p.value - t) / all, size: (p.size + t) / all });
            }
        }
        let (got, gradient) = batch.run(CategoricalCrossentropy, Softmax, &x, &targets);
        assert_loss(got, loss, 8.0)?;
        judge.sum("CategoricalCrossentropy of scores dx", &gradient, &dx, batch.classes)
    });
}

#[test]
fn binary_crossentropy_of_scores() {
    cases(64, (batches(), numbers::even(), 0..5i32), |(batch, numbers, decade), judge| {
        let spread = 10.0_f32.powi(decade);
        let mut x = numbers.floats(1, batch.len());
        x.iter_mut().for_each(|x| *x *= spread);
        let targets: Vec<f32> = numbers.floats(2, x.len()).iter().map(|t| t.abs()).collect();
        let all = x.len() as f64;
        let (mut loss, mut dx) = (Number::default(), Vec::new());
        for (&x, &t) in x.iter().zip(&targets) {
            let (x, t) = (f64::from(x), f64::from(t));
            let p = 1.0 / (1.0 + (-x).exp());
            let value = x.max(0.0) - x * t + (-x.abs()).exp().ln_1p();
            loss = loss + Number { value: value / all, size: (x.abs() + 1.0) / all };
            dx.push(Number { value: (p - t) / all, size: (p + t) / all });
        }
        let (got, gradient) = batch.run(BinaryCrossentropy, Sigmoid, &x, &targets);
        assert_loss(got, loss, 8.0)?;
        judge.within("BinaryCrossentropy of scores dx", &gradient, &dx, 8.0)
    });
}

/// Answers of which some are 0 or 1 or beyond, where the gradient is 0, as in Keras.
#[test]
fn crossentropies_of_answers() {
    cases(64, (batches(), numbers::even()), |(batch, numbers), judge| {
        // From 0.05 up, so that no gradient is the difference of large numbers.
        let x: Vec<f32> =
            numbers.floats(1, batch.len()).iter().map(|x| 0.525 + 0.475 * x).collect();
        let targets = batch.targets();
        let all = (batch.n * batch.rows) as f64;
        let (mut loss, mut dx) = (Number::default(), Vec::new());
        for (x, t) in x.chunks(batch.classes).zip(targets.chunks(batch.classes)) {
            let total: f64 = x.iter().map(|&x| f64::from(x)).sum();
            let whole: f64 = t.iter().map(|&t| f64::from(t)).sum::<f64>() / total;
            for (&x, &t) in x.iter().zip(t) {
                let (x, t) = (f64::from(x), f64::from(t));
                loss = loss + Number::exact(-t * (x / total).ln() / all);
                dx.push(Number { value: (whole - t / x) / all, size: (whole + t / x) / all });
            }
        }
        let (got, gradient) = batch.run(CategoricalCrossentropy, Linear, &x, &targets);
        assert_loss(got, Number { size: loss.size + 1.0, ..loss }, 16.0)?;
        judge.sum("CategoricalCrossentropy dx", &gradient, &dx, batch.classes)?;

        let all = x.len() as f64;
        let (mut loss, mut dx) = (0.0, Vec::new());
        // One minus an answer is exact in f32 from ½ up, and known to a unit below.
        for (&x, &t) in x.iter().zip(&targets) {
            let (p, t) = (f64::from(x.min(1.0 - 1e-7)), f64::from(t));
            loss -= (t * p.ln() + (1.0 - t) * (1.0 - p).ln()) / all;
            let [yes, no] = [t / p, (1.0 - t) / (1.0 - p)];
            let inside = if f64::from(x) == p { no - yes } else { 0.0 };
            dx.push(Number { value: inside / all, size: (yes + no) / all });
        }
        let (got, gradient) = batch.run(BinaryCrossentropy, Linear, &x, &targets);
        assert_loss(got, Number { value: loss, size: 16.0 }, 16.0)?;
        judge.within("BinaryCrossentropy dx", &gradient, &dx, 8.0)
    });
}

#[test]
fn mean_squared_errors() {
    cases(64, (batches(), numbers::any()), |(batch, numbers), judge| {
        let (x, targets) = (numbers.floats(1, batch.len()), numbers.floats(2, batch.len()));
        let all = x.len() as f64;
        let (mut loss, mut dx) = (Number::default(), Vec::new());
        for (&x, &t) in x.iter().zip(&targets) {
            let (off, size) =
                (f64::from(x) - f64::from(t), f64::from(x.abs()) + f64::from(t.abs()));
            loss = loss + Number { value: off * off / all, size: off.abs() * size / all };
            dx.push(Number { value: 2.0 * off / all, size: 2.0 * size / all });
        }
        let (got, gradient) = batch.run(MeanSquaredError, Linear, &x, &targets);
        assert_loss(got, loss, 8.0)?;
        judge.within("MeanSquaredError dx", &gradient, &dx, 4.0)
    });
}

/// Integer labels are the same numbers as one-hot ones.
#[test]
fn sparse_labels() {
    cases(32, (batches(), numbers::even()), |(batch, numbers), judge| {
        let x = numbers.floats(1, batch.len());
        let mut random = Random::new(batch.seed);
        let labels: Vec<u8> =
            (0..batch.n * batch.rows).map(|_| random.below(batch.classes) as u8).collect();
        let hot: Vec<f32> = labels
            .iter()
            .flat_map(|&label| (0..batch.classes).map(move |k| f32::from(usize::from(label) == k)))
            .collect();
        let x_array = ArrayD::from_shape_vec(batch.dims().to_vec(), x.clone()).unwrap();
        let integers = ArrayView::from_shape((batch.n, batch.rows), &labels).unwrap();
        let sparse = gradient_of(SparseCategoricalCrossentropy, Softmax, &x_array, &integers);
        let dense = batch.run(CategoricalCrossentropy, Softmax, &x, &hot);
        prop_assert_eq!(sparse.0, dense.0);
        judge.exactly("dx", &sparse.1, &dense.1)
    });
}
