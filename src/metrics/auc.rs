use super::metric::each_count;
use super::truth::Truth;
use super::{Metric, Tally};
use crate::shape::Shape;

/// The area under a curve that is drawn by moving the threshold above which an answer is a yes.
/// Keras: `AUC`.
///
/// The curve is drawn through a number of thresholds that are spread evenly over 0 to 1, as in Keras:
/// an answer counts for all thresholds below it, and the area is the more exact the more there are.
/// Answers outside 0 to 1 count as 0 or 1. Every number of the output is an answer; with `multi_label`
/// each class has a curve of its own, and the mean of their areas is taken. Targets are rows as wide
/// as the output, or integer labels.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(1);
/// let model = Model::new(&x, x.apply(Activation::Linear)?)?;
/// let mut model = model.compile(Adam::default(), BinaryCrossentropy, [AUC::new()]);
/// let x = array![[0.1], [0.4], [0.35], [0.8]];
/// let logs = model.evaluate(&x, &array![[0], [0], [1], [1]])?;
/// assert_eq!(logs["auc"], 0.75);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AUC {
    num_thresholds: usize,
    curve: Curve,
    summation_method: SummationMethod,
    multi_label: bool,
}

/// Which curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// Receiver operating characteristic: recall over the rate of false positives.
    Roc,
    /// Precision over recall.
    Pr,
}

/// How high the curve is between two thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummationMethod {
    /// Half way between its ends; of precision, as if both kinds of answers were spread evenly
    /// between the thresholds (Davis & Goadrich 2006).
    Interpolation,
    /// As high as the lower end.
    Minoring,
    /// As high as the higher end.
    Majoring,
}

impl AUC {
    /// Under the ROC curve through 200 thresholds.
    pub fn new() -> Self {
        Self {
            num_thresholds: 200,
            curve: Curve::Roc,
            summation_method: SummationMethod::Interpolation,
            multi_label: false,
        }
    }

    /// How many thresholds there are; 200.
    pub fn num_thresholds(self, num_thresholds: usize) -> Self {
        Self { num_thresholds, ..self }
    }

    /// Which curve; `Roc`.
    pub fn curve(self, curve: Curve) -> Self {
        Self { curve, ..self }
    }

    /// How high the curve is between two thresholds; `Interpolation`.
    pub fn summation_method(self, summation_method: SummationMethod) -> Self {
        Self { summation_method, ..self }
    }

    /// Whether each class has a curve of its own; `false`.
    pub fn multi_label(self, multi_label: bool) -> Self {
        Self { multi_label, ..self }
    }
}

impl Default for AUC {
    fn default() -> Self {
        Self::new()
    }
}

/// More thresholds than this are a typing error: f32 does not tell them apart.
const MOST_THRESHOLDS: usize = 1 << 24;

impl Metric for AUC {
    fn name(&self) -> String {
        "auc".to_string()
    }

    fn check(&self, _output: &Shape) -> Result<(), String> {
        if !(2..=MOST_THRESHOLDS).contains(&self.num_thresholds) {
            return Err(format!(
                "num_thresholds is {}; it must be from 2 to {MOST_THRESHOLDS}",
                self.num_thresholds
            ));
        }
        Ok(())
    }

    fn tally(&self, output: &Shape) -> Box<dyn Tally> {
        let curves = if self.multi_label { output.last().copied().unwrap_or(1) } else { 1 };
        Box::new(AUCTally { auc: *self, curves: vec![vec![[0; 2]; self.num_thresholds]; curves] })
    }
}

struct AUCTally {
    auc: AUC,
    /// For each curve and threshold, the answers between it and the next one: those that should be a
    /// yes, and the others.
    curves: Vec<Vec<[u64; 2]>>,
}

impl Tally for AUCTally {
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        let truth = Truth::new(outputs, targets, classes);
        // In f32, so that what lies on a threshold falls to the side where Keras has it.
        let last = (self.auc.num_thresholds - 1) as f32;
        for (row, scores) in outputs.chunks_exact(classes).enumerate() {
            for (class, score) in scores.iter().enumerate() {
                let bucket = ((score.clamp(0.0, 1.0) * last).ceil() - 1.0).max(0.0) as usize;
                let curve = if self.auc.multi_label { class } else { 0 };
                let wrong = usize::from(truth.of(row, class) == 0.0);
                self.curves[curve][bucket][wrong] += 1;
            }
        }
    }

    fn result(&self, _number: usize) -> f64 {
        let areas = self.curves.iter().map(|buckets| self.auc.area(buckets));
        areas.sum::<f64>() / self.curves.len() as f64
    }

    fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        each_count(self.curves.iter_mut().flatten().flatten(), f)
    }
}

impl AUC {
    /// From the highest threshold down.
    fn area(&self, buckets: &[[u64; 2]]) -> f64 {
        let total = |which: usize| buckets.iter().map(|bucket| bucket[which]).sum::<u64>() as f64;
        let totals = [total(0), total(1)];
        let Some((last, buckets)) = buckets.split_last() else { return 0.0 };
        let mut high = last.map(|count| count as f64);
        let mut area = 0.0;
        for bucket in buckets.iter().rev() {
            let low = [high[0] + bucket[0] as f64, high[1] + bucket[1] as f64];
            area += self.strip(low, high, totals);
            high = low;
        }
        area
    }

    /// The area between two thresholds: the yeses above each, right and wrong ones, and how many there
    /// would be in all.
    fn strip(&self, low: [f64; 2], high: [f64; 2], totals: [f64; 2]) -> f64 {
        let over = |a: f64, b: f64| if b == 0.0 { 0.0 } else { a / b };
        let recall = |[right, _]: [f64; 2]| over(right, totals[0]);
        let fallout = |[_, wrong]: [f64; 2]| over(wrong, totals[1]);
        let precision = |[right, wrong]: [f64; 2]| over(right, right + wrong);
        let (width, ends) = match self.curve {
            Curve::Roc => (fallout(low) - fallout(high), [low, high].map(recall)),
            Curve::Pr if self.summation_method == SummationMethod::Interpolation => {
                let [more, yeses] = [low[0] - high[0], low[0] + low[1]];
                let slope = over(more, yeses - high[0] - high[1]);
                let high_yeses = high[0] + high[1];
                let offset = high[0] - slope * high_yeses;
                let ratio = if high_yeses > 0.0 { yeses / high_yeses } else { 1.0 };
                return over(slope * (more + offset * ratio.ln()), totals[0]);
            }
            Curve::Pr => (recall(low) - recall(high), [low, high].map(precision)),
        };
        let [a, b] = ends;
        width
            * match self.summation_method {
                SummationMethod::Interpolation => 0.5 * (a + b),
                SummationMethod::Minoring => a.min(b),
                SummationMethod::Majoring => a.max(b),
            }
    }
}
