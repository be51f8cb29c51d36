//! Loss and metrics in inference mode, several batches at once.

use std::ops::Range;

use rayon::prelude::*;

use super::objective::Objective;
use super::shards::is_small;
use super::tallies::Tallies;
use crate::arrays::Samples;
use crate::model::{Model, Network, Workspace};

/// Batches of a small network that are worked on at once.
const BATCHES: usize = 8;

/// Space for the batches that are worked on at once: one after the other where the network is large
/// enough for all threads to work on one.
#[derive(Debug)]
pub(super) struct Evaluation {
    batch_size: usize,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    workspace: Workspace,
    samples: Range<usize>,
    /// For each output of the model, the sum of the losses.
    losses: Vec<f64>,
}

impl Evaluation {
    /// For batches of up to this many samples.
    pub(super) fn new(network: &Network, batch_size: usize) -> Self {
        let part = |_| Part {
            workspace: Workspace::for_inference(network, batch_size),
            samples: 0..0,
            losses: vec![0.0; network.outputs.len()],
        };
        let parts = if is_small(network) { BATCHES } else { 1 };
        Self { batch_size, parts: (0..parts).map(part).collect() }
    }

    /// Whether this is for batches of up to so many samples.
    pub(super) fn is_for(&self, batch_size: usize) -> bool {
        self.batch_size == batch_size
    }

    /// Adds a range of samples to the tallies, in order.
    pub(super) fn run(
        &mut self,
        model: &Model,
        objective: &Objective,
        x: &Samples<'_>,
        y: &Samples<'_>,
        range: Range<usize>,
        tallies: &mut Tallies,
    ) {
        for start in range.clone().step_by(self.batch_size * self.parts.len()) {
            for (i, part) in self.parts.iter_mut().enumerate() {
                let [start, end] = [i, i + 1].map(|i| range.end.min(start + i * self.batch_size));
                part.samples = start..end;
            }
            self.parts.par_iter_mut().for_each(|part| part.run(model, objective, x, y));
            for part in &mut self.parts {
                let (start, n) = (part.samples.start, part.samples.len());
                if n == 0 {
                    break;
                }
                for (i, &loss) in part.losses.iter().enumerate() {
                    let (output, targets) = (part.workspace.output(i, n), y.range(i, start, n));
                    tallies.add(i, loss, output, targets, objective.classes(i));
                }
                tallies.count(n);
            }
        }
    }
}

impl Part {
    fn run(&mut self, model: &Model, objective: &Objective, x: &Samples<'_>, y: &Samples<'_>) {
        let (start, n) = (self.samples.start, self.samples.len());
        if n == 0 {
            return;
        }
        for i in 0..x.arrays() {
            self.workspace.input(i, n).copy_from_slice(x.range(i, start, n));
        }
        self.workspace.infer(n, &model.weights, &model.state);
        for (i, loss) in self.losses.iter_mut().enumerate() {
            let output = self.workspace.output(i, n);
            *loss = objective.run(i, n, output, y.range(i, start, n), None);
        }
    }
}
