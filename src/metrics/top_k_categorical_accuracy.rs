use super::metric::each_count;
use super::truth::Truth;
use super::{Metric, Tally};
use crate::shape::Shape;

/// The share of samples whose right class is among the `k` with the highest scores, for one-hot and
/// for integer labels. Where scores are equal the right class goes first, as in Keras. Keras:
/// `TopKCategoricalAccuracy`.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(3);
/// let model = Model::new(&x, x.apply(Activation::Softmax)?)?;
/// let top_2 = TopKCategoricalAccuracy::new().k(2);
/// let mut model = model.compile(Adam::default(), SparseCategoricalCrossentropy, [top_2]);
/// let logs = model.evaluate(&array![[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], &array![1, 2])?;
/// assert_eq!(logs["top_k_categorical_accuracy"], 0.5);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopKCategoricalAccuracy {
    k: usize,
}

impl TopKCategoricalAccuracy {
    /// Among the 5 best.
    pub fn new() -> Self {
        Self { k: 5 }
    }

    /// Among how many; 5.
    pub fn k(self, k: usize) -> Self {
        Self { k }
    }
}

impl Default for TopKCategoricalAccuracy {
    fn default() -> Self {
        Self::new()
    }
}

impl Metric for TopKCategoricalAccuracy {
    fn name(&self) -> String {
        "top_k_categorical_accuracy".to_string()
    }

    fn check(&self, _output: &Shape) -> Result<(), String> {
        if self.k == 0 { Err("k is 0; it is at least 1".to_string()) } else { Ok(()) }
    }

    fn tally(&self, _output: &Shape) -> Box<dyn Tally> {
        Box::new(TopKTally { k: self.k, right: 0, total: 0 })
    }
}

struct TopKTally {
    k: usize,
    right: u64,
    total: u64,
}

impl Tally for TopKTally {
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        let truth = Truth::new(outputs, targets, classes);
        for (row, scores) in outputs.chunks_exact(classes).enumerate() {
            let better = |own: f32| scores.iter().filter(|&&score| score > own).count();
            let right = scores.get(truth.class(row)).is_some_and(|&own| better(own) < self.k);
            self.right += u64::from(right);
            self.total += 1;
        }
    }

    fn result(&self, _number: usize) -> f64 {
        self.right as f64 / self.total as f64
    }

    fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        each_count([&mut self.right, &mut self.total], f)
    }
}
