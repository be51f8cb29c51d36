use super::positives::{Positives, Yes, share};
use super::{Metric, Tally};
use crate::shape::Shape;

/// How many of the answers that were yes are right; 0 if there are none. Keras: `Precision`.
///
/// Every number of the output is an answer, yes above the threshold: of a classifier all classes are
/// counted together, and what matters is whether its probability is above 0.5, not whether it is the
/// largest. With `class_id` one class alone is looked at. Targets are rows as wide as the output, or
/// integer labels.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(2);
/// let model = Model::new(&x, x.apply(Activation::Linear)?)?;
/// let mut model = model.compile(Adam::default(), BinaryCrossentropy, [Precision::new()]);
/// let logs = model.evaluate(&array![[0.9, 0.2], [0.8, 0.4]], &array![[1, 1], [0, 0]])?;
/// assert_eq!(logs["precision"], 0.5);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Precision {
    yes: Yes,
}

impl Precision {
    /// Of all answers, yes above 0.5.
    pub fn new() -> Self {
        Self::default()
    }

    /// What an answer must be above to be a yes; 0.5, or with `top_k` none. Keras: `thresholds`.
    pub fn threshold(self, threshold: f32) -> Self {
        Self { yes: Yes { threshold: Some(threshold), ..self.yes } }
    }

    /// The answer must be among so many best of its row too; any.
    pub fn top_k(self, top_k: usize) -> Self {
        Self { yes: Yes { top_k: Some(top_k), ..self.yes } }
    }

    /// The class that is looked at; all.
    pub fn class_id(self, class_id: usize) -> Self {
        Self { yes: Yes { class_id: Some(class_id), ..self.yes } }
    }
}

impl Metric for Precision {
    fn name(&self) -> String {
        "precision".to_string()
    }

    fn check(&self, output: &Shape) -> Result<(), String> {
        self.yes.check(output)
    }

    fn tally(&self, _output: &Shape) -> Box<dyn Tally> {
        Box::new(PrecisionTally(Positives::new(self.yes)))
    }
}

struct PrecisionTally(Positives);

impl Tally for PrecisionTally {
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        self.0.add(outputs, targets, classes);
    }

    fn result(&self, _number: usize) -> f64 {
        share(self.0.true_positives, self.0.false_positives)
    }

    fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        self.0.each_number(f)
    }
}
