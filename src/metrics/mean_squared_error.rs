use super::metric::each_count;
use super::truth::Truth;
use super::{Metric, Tally};
use crate::losses::MeanSquaredError;
use crate::shape::Shape;

impl Metric for MeanSquaredError {
    fn name(&self) -> String {
        "mean_squared_error".to_string()
    }

    fn tally(&self, _output: &Shape) -> Box<dyn Tally> {
        Box::new(Squares { sum: 0.0, total: 0 })
    }

    fn larger_is_better(&self) -> bool {
        false
    }
}

struct Squares {
    sum: f64,
    total: u64,
}

impl Tally for Squares {
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        let truth = Truth::new(outputs, targets, classes);
        for (row, outputs) in outputs.chunks_exact(classes).enumerate() {
            for (class, &y) in outputs.iter().enumerate() {
                self.sum += (f64::from(y) - f64::from(truth.of(row, class))).powi(2);
            }
        }
        self.total += outputs.len() as u64;
    }

    fn result(&self, _number: usize) -> f64 {
        self.sum / self.total as f64
    }

    fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        f(&mut self.sum);
        each_count([&mut self.total], f)
    }
}
