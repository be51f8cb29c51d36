//! What precision and recall count.

use super::metric::each_count;
use super::truth::Truth;
use crate::shape::Shape;
use crate::words::counted;

/// Which scores count as a yes: those above the threshold among the `top_k` of their row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Yes {
    pub(super) threshold: Option<f32>,
    pub(super) top_k: Option<usize>,
    pub(super) class_id: Option<usize>,
}

impl Yes {
    pub(super) fn check(&self, output: &Shape) -> Result<(), String> {
        let classes = output.last().copied().unwrap_or(1);
        if let Some(threshold) = self.threshold.filter(|t| !(0.0..=1.0).contains(t)) {
            return Err(format!("threshold is {threshold}; it must be from 0 to 1"));
        }
        if let Some(top_k) = self.top_k.filter(|k| !(1..=classes).contains(k)) {
            return Err(format!(
                "top_k is {top_k}, the output has {}; it must be from 1 to {classes}",
                counted(classes, "class")
            ));
        }
        if let Some(class_id) = self.class_id.filter(|&class| class >= classes) {
            return Err(format!(
                "class_id is {class_id}, the output has {}; they are counted from 0",
                counted(classes, "class")
            ));
        }
        Ok(())
    }
}

/// Right and wrong answers so far.
#[derive(Debug, Default)]
pub(super) struct Positives {
    yes: Yes,
    pub(super) true_positives: u64,
    pub(super) false_positives: u64,
    pub(super) false_negatives: u64,
    /// The classes of a row; kept for its capacity.
    order: Vec<usize>,
}

impl Positives {
    pub(super) fn new(yes: Yes) -> Self {
        Self { yes, ..Self::default() }
    }

    /// Shows what is counted, as a tally does.
    pub(super) fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        let Self { true_positives, false_positives, false_negatives, .. } = self;
        each_count([true_positives, false_positives, false_negatives], f)
    }

    /// Takes in a batch, as a tally does.
    pub(super) fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        let truth = Truth::new(outputs, targets, classes);
        let Yes { threshold, top_k, class_id } = self.yes;
        // Whatever is among the best counts, unless a threshold is given.
        let least = threshold.unwrap_or(if top_k.is_some() { f32::NEG_INFINITY } else { 0.5 });
        for (row, scores) in outputs.chunks_exact(classes).enumerate() {
            if let Some(k) = top_k.filter(|&k| k < classes) {
                self.order.clear();
                self.order.extend(0..classes);
                self.order.select_nth_unstable_by(k - 1, |&a, &b| {
                    scores[b].total_cmp(&scores[a]).then(a.cmp(&b))
                });
                self.order.truncate(k);
            }
            let among =
                |class: usize| top_k.is_none_or(|k| k >= classes || self.order.contains(&class));
            let looked_at = class_id.map_or(0..classes, |class| class..class + 1);
            for class in looked_at {
                let yes = scores[class] > least && among(class);
                match (yes, truth.of(row, class) != 0.0) {
                    (true, true) => self.true_positives += 1,
                    (true, false) => self.false_positives += 1,
                    (false, true) => self.false_negatives += 1,
                    (false, false) => {}
                }
            }
        }
    }
}

/// `a / (a + b)`, and 0 where there is nothing.
pub(super) fn share(a: u64, b: u64) -> f64 {
    if a == 0 { 0.0 } else { a as f64 / (a + b) as f64 }
}
