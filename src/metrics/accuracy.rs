use super::metric::each_count;
use super::{Metric, Tally};
use crate::shape::Shape;

/// The share of samples whose most probable class is the right one, for one-hot and for integer
/// labels; for a single output as [`BinaryAccuracy`](super::BinaryAccuracy). Keras: `accuracy`.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::array;
///
/// let x = Input::new(2);
/// let model = Model::new(&x, x.apply(Activation::Softmax)?)?;
/// let mut model = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
/// let logs = model.evaluate(&array![[3.0, 1.0], [2.0, 1.0]], &array![[1, 0], [0, 1]])?;
/// assert_eq!(logs["accuracy"], 0.5);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Accuracy;

#[derive(Default)]
struct AccuracyTally {
    right: u64,
    total: u64,
}

impl Metric for Accuracy {
    fn name(&self) -> String {
        "accuracy".to_string()
    }

    fn tally(&self, _output: &Shape) -> Box<dyn Tally> {
        Box::new(AccuracyTally::default())
    }
}

impl Tally for AccuracyTally {
    fn add(&mut self, outputs: &[f32], targets: &[f32], classes: usize) {
        let rows = outputs.len() / classes;
        let one_hot = targets.len() == outputs.len();
        let right = |row: usize| {
            let output = &outputs[row * classes..][..classes];
            if classes == 1 {
                f32::from(u8::from(output[0] > 0.5)) == targets[row]
            } else if one_hot {
                arg_max(output) == arg_max(&targets[row * classes..][..classes])
            } else {
                arg_max(output) as f32 == targets[row]
            }
        };
        self.right += (0..rows).filter(|&row| right(row)).count() as u64;
        self.total += rows as u64;
    }

    fn result(&self, _number: usize) -> f64 {
        self.right as f64 / self.total as f64
    }

    fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> bool {
        each_count([&mut self.right, &mut self.total], f)
    }
}

/// The position of the largest number, the first of equals.
pub(crate) fn arg_max(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_over_batches_and_kinds_of_labels() {
        let mut tally = Accuracy.tally(&2.into());
        tally.add(&[0.1, 0.9, 0.8, 0.2], &[0.0, 1.0, 0.0, 1.0], 2);
        tally.add(&[0.1, 0.9], &[1.0], 2);
        assert_eq!(tally.result(0), 2.0 / 3.0);

        let mut binary = Accuracy.tally(&1.into());
        binary.add(&[0.4, 0.6, 0.5, 0.7], &[0.0, 1.0, 1.0, 1.0], 1);
        assert_eq!(binary.result(0), 0.75);
    }

    #[test]
    fn equal_outputs_count_as_the_first() {
        assert_eq!(arg_max(&[0.3, 0.4, 0.4]), 1);
    }
}
