use super::metric::each_count;
use super::truth::Truth;
use super::{Metric, Tally};
use crate::shape::Shape;

/// The share of yes-or-no answers that are right, every number of the output being one. Keras:
/// `BinaryAccuracy`.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(2);
/// let model = Model::new(&x, x.apply(Activation::Linear)?)?;
/// let mut model = model.compile(Adam::default(), BinaryCrossentropy, [BinaryAccuracy::new()]);
/// let logs = model.evaluate(&array![[0.9, 0.2], [0.8, 0.4]], &array![[1, 0], [0, 0]])?;
/// assert_eq!(logs["binary_accuracy"], 0.75);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinaryAccuracy {
    threshold: f32,
}

impl BinaryAccuracy {
    /// A yes is above 0.5.
    pub fn new() -> Self {
        Self { threshold: 0.5 }
    }

    /// What an answer must be above to be a yes; 0.5.
    pub fn threshold(self, threshold: f32) -> Self {
        Self { threshold }
    }
}

impl Default for BinaryAccuracy {
    fn default() -> Self {
        Self::new()
    }
}

impl Metric for BinaryAccuracy {
    fn name(&self) -> String {
        "binary_accuracy".to_string()
    }

    fn check(&self, _output: &Shape) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.threshold) {
            return Err(format!("threshold is {}; it must be from 0 to 1", self.threshold));
        }
        Ok(())
    }

    fn tally(&self, _output: &Shape) -> Box<dyn Tally> {
        Box::new(BinaryAccuracyTally { threshold: self.threshold, right: 0, total: 0 })
    }
}

struct BinaryAccuracyTally {
    threshold: f32,
    right: u64,
    total: u64,
}

impl Tally for BinaryAccuracyTally {
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        let truth = Truth::new(outputs, targets, classes);
        for (row, outputs) in outputs.chunks_exact(classes).enumerate() {
            for (class, &y) in outputs.iter().enumerate() {
                let yes = f32::from(u8::from(y > self.threshold));
                self.right += u64::from(yes == truth.of(row, class));
            }
        }
        self.total += outputs.len() as u64;
    }

    fn result(&self, _number: usize) -> f64 {
        self.right as f64 / self.total as f64
    }

    fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        each_count([&mut self.right, &mut self.total], f)
    }
}
