use crate::callbacks::Logs;
use crate::metrics::{Metric, OutputMetric, Tally};
use crate::shape::Shape;

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
    loss_key: Option<String>,
    loss: f64,
    /// How much its loss counts.
    weight: f64,
    /// The tally of each metric, with the key of each of its numbers.
    metrics: Vec<(Vec<String>, Box<dyn Tally>)>,
}

/// An output of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output<'a> {
    pub(super) name: &'a str,
    pub(super) shape: &'a Shape,
    /// Whether it is the only one.
    pub(super) alone: bool,
    /// How much its loss counts.
    pub(super) weight: f64,
}

impl Output<'_> {
    /// The key of its loss, where there are several outputs.
    pub(super) fn loss_key(&self) -> Option<String> {
        (!self.alone).then(|| format!("{}_loss", self.name))
    }

    /// Those of the metrics that look at it.
    pub(super) fn metrics<'m>(
        &self,
        metrics: &'m [OutputMetric],
    ) -> impl Iterator<Item = &'m dyn Metric> + use<'m, '_> {
        let name = self.name;
        metrics
            .iter()
            .filter(move |(output, _)| output.as_deref().is_none_or(|output| output == name))
            .map(|(_, metric)| &**metric)
    }

    /// The keys of a metric's numbers: its name, after that of the output where there are several;
    /// several numbers are counted.
    pub(super) fn keys(&self, metric: &dyn Metric) -> Vec<String> {
        let name = metric.name();
        let name = if self.alone { name } else { format!("{}_{name}", self.name) };
        match metric.numbers(self.shape) {
            1 => vec![name],
            numbers => (0..numbers).map(|number| format!("{name}_{number}")).collect(),
        }
    }
}

impl Tallies {
    /// Tallies that have seen no sample.
    pub(super) fn new<'a>(
        outputs: impl Iterator<Item = Output<'a>>,
        metrics: &[OutputMetric],
    ) -> Self {
        let outputs: Vec<OutputTallies> = outputs
            .map(|output| OutputTallies {
                loss_key: output.loss_key(),
                loss: 0.0,
                weight: output.weight,
                metrics: output
                    .metrics(metrics)
                    .map(|metric| (output.keys(metric), metric.tally(output.shape)))
                    .collect(),
            })
            .collect();
        let mut names = vec!["loss".to_string()];
        for output in &outputs {
            names.extend(output.loss_key.clone());
            names.extend(output.metrics.iter().flat_map(|(keys, _)| keys.iter().cloned()));
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

    /// Shows every number that is kept to `f`, which may change it; or says which metric does not.
    pub(super) fn each_number(&mut self, f: &mut dyn FnMut(&mut f64)) -> Result<(), String> {
        let mut samples = self.samples as f64;
        f(&mut samples);
        // What comes from a file may be any number.
        self.samples = samples.clamp(0.0, u32::MAX.into()) as usize;
        f(&mut self.penalty);
        for output in &mut self.outputs {
            f(&mut output.loss);
            for (keys, metric) in &mut output.metrics {
                if !metric.each_number(f) {
                    return Err(format!(
                        "the tally of {} does not write each_number",
                        keys.join(", ")
                    ));
                }
            }
        }
        Ok(())
    }

    /// The means so far.
    pub(super) fn logs(&mut self) -> &Logs {
        let samples = self.samples as f64;
        let losses = self.outputs.iter().map(|output| output.weight * output.loss);
        let total = losses.sum::<f64>() + self.penalty;
        self.logs.set("loss", total / samples);
        for output in &self.outputs {
            if let Some(key) = &output.loss_key {
                self.logs.set(key, output.loss / samples);
            }
            for (keys, metric) in &output.metrics {
                for (number, key) in keys.iter().enumerate() {
                    self.logs.set(key, metric.result(number));
                }
            }
        }
        &self.logs
    }
}
