use crate::callbacks::Logs;
use crate::metrics::{Metric, Tally};

/// The loss and the metrics over the batches of an epoch so far.
pub(super) struct Tallies {
    samples: usize,
    /// The sum over the samples of what the weights added to their losses.
    penalty: f64,
    /// For each output, the sum of its losses, and its metrics.
    outputs: Vec<OutputTallies>,
    logs: Logs,
}

struct OutputTallies {
    /// The key of its loss, where there are several outputs.
    loss_name: Option<String>,
    loss: f64,
    metrics: Vec<(String, Box<dyn Tally>)>,
}

impl Tallies {
    /// Tallies that have seen no sample, for outputs of these names.
    pub(super) fn new(outputs: &[String], metrics: &[Box<dyn Metric>]) -> Self {
        let outputs: Vec<OutputTallies> = outputs
            .iter()
            .map(|output| OutputTallies {
                loss_name: (outputs.len() > 1).then(|| format!("{output}_loss")),
                loss: 0.0,
                metrics: metrics
                    .iter()
                    .map(|metric| (key(outputs, output, &metric.name()), metric.tally()))
                    .collect(),
            })
            .collect();
        let mut names = vec!["loss".to_string()];
        for output in &outputs {
            names.extend(output.loss_name.clone());
            names.extend(output.metrics.iter().map(|(name, _)| name.clone()));
        }
        Self { samples: 0, penalty: 0.0, outputs, logs: Logs::with_names(names) }
    }

    /// Takes in one output of a batch: the sum of the losses of its samples, the output itself
    /// and its targets.
    pub(super) fn add(
        &mut self,
        output: usize,
        loss: f64,
        predicted: &[f32],
        targets: &[f32],
        classes: usize,
    ) {
        let tallies = &mut self.outputs[output];
        tallies.loss += loss;
        for (_, metric) in &mut tallies.metrics {
            metric.add(predicted, targets, classes);
        }
    }

    /// Counts the samples of a batch whose outputs have all been added.
    pub(super) fn count(&mut self, samples: usize) {
        self.samples += samples;
    }

    /// Takes in what the weights add to the loss of each of so many samples.
    pub(super) fn penalise(&mut self, samples: usize, penalty: f64) {
        self.penalty += penalty * samples as f64;
    }

    /// The means so far.
    pub(super) fn logs(&mut self) -> &Logs {
        let samples = self.samples as f64;
        let total = self.outputs.iter().map(|output| output.loss).sum::<f64>() + self.penalty;
        self.logs.set("loss", total / samples);
        for output in &self.outputs {
            if let Some(name) = &output.loss_name {
                self.logs.set(name, output.loss / samples);
            }
            for (name, metric) in &output.metrics {
                self.logs.set(name, metric.result());
            }
        }
        &self.logs
    }
}

/// The key of a metric: its name, after that of the output where there are several.
pub(super) fn key(outputs: &[String], output: &str, metric: &str) -> String {
    if outputs.len() > 1 { format!("{output}_{metric}") } else { metric.to_string() }
}
