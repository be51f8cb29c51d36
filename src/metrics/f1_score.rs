use super::truth::Truth;
use super::{Metric, Tally};
use crate::shape::Shape;

/// The harmonic mean of precision and recall, for each class or over all of them. Keras: `F1Score`.
///
/// Without a threshold the classes with the highest score of a row are predicted, with one those
/// whose score is above it. Targets are rows as wide as the output, or integer labels.
///
/// For each class there is a number in the logs: `f1_score_0`, `f1_score_1`, …; with an `average` it
/// is one, `f1_score`.
///
/// ```
/// use convnet::metrics::Average;
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(3);
/// let model = Model::new(&x, x.apply(Activation::Softmax)?)?;
/// let metrics = (F1Score::new(), F1Score::new().average(Average::Macro).named("f1"));
/// let mut model = model.compile(Adam::default(), SparseCategoricalCrossentropy, metrics);
/// let x = array![[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 9.0, 0.0]];
/// let logs = model.evaluate(&x, &array![0, 1, 2])?;
/// assert!((logs["f1_score_1"] - 2.0 / 3.0).abs() < 1e-6);
/// assert!((logs["f1"] - 5.0 / 9.0).abs() < 1e-6);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct F1Score {
    average: Option<Average>,
    threshold: Option<f32>,
}

/// How the scores of the classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// All answers are counted together.
    Micro,
    /// The mean over the classes.
    Macro,
    /// The mean over the classes, each counted as often as it is the true one.
    Weighted,
}

impl F1Score {
    /// The score of each class.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the scores of the classes become one; not at all.
    pub fn average(self, average: Average) -> Self {
        Self { average: Some(average), ..self }
    }

    /// What a score must be above for its class to be predicted; the highest of its row is.
    pub fn threshold(self, threshold: f32) -> Self {
        Self { threshold: Some(threshold), ..self }
    }
}

impl Metric for F1Score {
    fn name(&self) -> String {
        "f1_score".to_string()
    }

    fn check(&self, _output: &Shape) -> Result<(), String> {
        match self.threshold.filter(|t| !(0.0..=1.0).contains(t)) {
            Some(threshold) => Err(format!("threshold is {threshold}; it must be from 0 to 1")),
            None => Ok(()),
        }
    }

    fn numbers(&self, output: &Shape) -> usize {
        if self.average.is_none() { output.last().copied().unwrap_or(1) } else { 1 }
    }

    fn tally(&self, output: &Shape) -> Box<dyn Tally> {
        let classes = output.last().copied().unwrap_or(1);
        Box::new(F1Tally { score: *self, classes: vec![Class::default(); classes] })
    }
}

struct F1Tally {
    score: F1Score,
    classes: Vec<Class>,
}

/// What a class has been so far.
#[derive(Clone, Copy, Debug, Default)]
struct Class {
    true_positives: f64,
    false_positives: f64,
    false_negatives: f64,
}

/// What Keras adds to what it divides by.
const EPSILON: f64 = 1e-7;

/// Scores no further than this from 0 predict nothing, though they be the highest.
const NOTHING: f32 = 1e-9;

impl Class {
    fn f1(&self) -> f64 {
        let precision =
            self.true_positives / (self.true_positives + self.false_positives + EPSILON);
        let recall = self.true_positives / (self.true_positives + self.false_negatives + EPSILON);
        2.0 * precision * recall / (precision + recall + EPSILON)
    }

    /// How often it was the true one.
    fn support(&self) -> f64 {
        self.true_positives + self.false_negatives
    }
}

impl Tally for F1Tally {
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        let truth = Truth::new(outputs, targets, classes);
        for (row, scores) in outputs.chunks_exact(classes).enumerate() {
            let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (class, (&score, counts)) in scores.iter().zip(&mut self.classes).enumerate() {
                let predicted = match self.score.threshold {
                    Some(threshold) => score > threshold,
                    None => score >= highest && score.abs() > NOTHING,
                };
                let t = f64::from(truth.of(row, class));
                if predicted {
                    counts.true_positives += t;
                    counts.false_positives += 1.0 - t;
                } else {
                    counts.false_negatives += t;
                }
            }
        }
    }

    fn result(&self, number: usize) -> f64 {
        let classes = self.classes.iter();
        match self.score.average {
            None => self.classes[number].f1(),
            Some(Average::Micro) => classes
                .fold(Class::default(), |all, class| Class {
                    true_positives: all.true_positives + class.true_positives,
                    false_positives: all.false_positives + class.false_positives,
                    false_negatives: all.false_negatives + class.false_negatives,
                })
                .f1(),
            Some(Average::Macro) => classes.map(Class::f1).sum::<f64>() / self.classes.len() as f64,
            Some(Average::Weighted) => {
                let support: f64 = self.classes.iter().map(Class::support).sum();
                classes.map(|class| class.f1() * class.support() / (support + EPSILON)).sum()
            }
        }
    }

    fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        for Class { true_positives, false_positives, false_negatives } in &mut self.classes {
            [true_positives, false_positives, false_negatives].into_iter().for_each(&mut *f);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keras_adds_keeps_even_the_best_score_below_1() {
        // Precision and recall are 1 − 1e-7; their F1 loses half as much again, a weight as much.
        for (score, below) in
            [(F1Score::new(), 1.5e-7), (F1Score::new().average(Average::Weighted), 2.5e-7)]
        {
            let mut tally = score.threshold(0.5).tally(&1.into());
            tally.add(&[0.9], &[1.0], 1);
            assert!((tally.result(0) - (1.0 - below)).abs() < 1e-12, "{}", tally.result(0));
        }
    }

    #[test]
    fn the_highest_score_is_no_yes_if_it_is_next_to_nothing() {
        for (score, expected) in [(1e-9, 0.0), (2e-9, 1.0)] {
            let mut tally = F1Score::new().tally(&1.into());
            tally.add(&[score], &[1.0], 1);
            assert!((tally.result(0) - expected).abs() < 1e-6);
        }
    }
}
