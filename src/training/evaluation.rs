//! Loss and metrics in inference mode, several batches at once.

use rayon::prelude::*;

use super::objective::{Objective, OutputPass};
use super::shards::is_small;
use super::tallies::Tallies;
use super::weighting::Weighting;
use crate::batches::Chunk;
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
    /// For each output of the model, the targets, and the sum of the losses.
    targets: Vec<Vec<f32>>,
    losses: Vec<f64>,
    /// The weights of its samples, if they are not all 1; kept for its capacity.
    sample_weight: Vec<f32>,
}

impl Evaluation {
    /// For batches of up to this many samples.
    pub(super) fn new(network: &Network, batch_size: usize) -> Self {
        let part = |_| Part {
            workspace: Workspace::for_inference(network, batch_size),
            targets: vec![Vec::new(); network.outputs.len()],
            losses: vec![0.0; network.outputs.len()],
            sample_weight: Vec::with_capacity(batch_size),
        };
        let parts = if is_small(network) { BATCHES } else { 1 };
        Self { batch_size, parts: (0..parts).map(part).collect() }
    }

    /// Whether this is for batches of up to so many samples.
    pub(super) fn is_for(&self, batch_size: usize) -> bool {
        self.batch_size == batch_size
    }

    /// How many samples are worked on at once.
    pub(super) fn at_once(&self) -> usize {
        self.batch_size * self.parts.len()
    }

    /// Adds samples to the tallies, in order, at most as many as are worked on at once.
    pub(super) fn run(
        &mut self,
        model: &Model,
        objective: &Objective,
        chunk: &Chunk<'_>,
        weighting: Weighting<'_>,
        tallies: &mut Tallies,
    ) {
        let parts = self.parts.par_iter_mut().zip(chunk.places.par_chunks(self.batch_size));
        parts.zip(chunk.indices.par_chunks(self.batch_size)).for_each(
            |((part, places), indices)| {
                let chunk = Chunk { places, indices, ..*chunk };
                part.run(model, objective, &chunk, weighting);
            },
        );
        for (part, places) in self.parts.iter_mut().zip(chunk.places.chunks(self.batch_size)) {
            let n = places.len();
            for (i, (targets, &loss)) in part.targets.iter().zip(&part.losses).enumerate() {
                let output = part.workspace.output(i, n);
                tallies.add(i, loss, output, targets, objective.classes(i));
            }
            tallies.count(n);
        }
    }
}

impl Part {
    fn run(
        &mut self,
        model: &Model,
        objective: &Objective,
        chunk: &Chunk<'_>,
        weighting: Weighting<'_>,
    ) {
        let &Chunk { x, y, places, indices, .. } = chunk;
        let n = places.len();
        for i in 0..x.arrays() {
            x.gather(i, places, self.workspace.input(i, n));
        }
        self.workspace.infer(n, &model.weights, &model.state);
        for (i, (targets, loss)) in self.targets.iter_mut().zip(&mut self.losses).enumerate() {
            targets.resize(n * y.size(i), 0.0);
            y.gather(i, places, targets);
            *loss = objective.run(OutputPass {
                output: i,
                n,
                y: self.workspace.output(i, n),
                targets,
                sample_weight: weighting.of(indices, targets, &mut self.sample_weight),
                gradient: None,
            });
        }
    }
}
