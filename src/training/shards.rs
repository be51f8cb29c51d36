//! A training step up to the gradients, on parts of the batch at once.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::objective::{Objective, OutputPass};
use super::weighting::Weighting;
use crate::batches::Chunk;
use crate::kernels::buffer::Buffer;
use crate::kernels::lanes::LANES;
use crate::kernels::parallel::{CHUNK, Worth, bytes};
use crate::model::{Network, TrainingWorkspace};
use crate::random::derive;

/// At most so many parts, since each has gradients of its own that are then added up.
const MOST_SHARDS: usize = 8;

/// The most weights of which each part keeps gradients of its own: 1 MB, what a core's L2 cache holds.
/// With more of them one set of gradients is made by all threads together.
const MOST_WEIGHTS: usize = 256 * 1024;

/// The parts of a batch. Small networks are cut into parts of whole blocks of 16 samples, each of
/// which goes forward and backward by itself, so that threads meet once a step and not once a layer.
/// How many parts depends on the batch size alone, so that results do not depend on the threads.
#[derive(Debug)]
pub(super) struct Shards {
    batch_size: usize,
    /// Samples of a part.
    size: usize,
    shards: Vec<Shard>,
    /// Workspaces that no part is using: as many as parts have run at the same time. A thread's next part
    /// finds them in its cache.
    idle: Mutex<Vec<TrainingWorkspace>>,
}

/// What is left of one part.
#[derive(Debug)]
struct Shard {
    gradients: Buffer,
    /// For each output of the model, what came out, the targets, and the sum of the losses.
    outputs: Vec<Vec<f32>>,
    targets: Vec<Vec<f32>>,
    losses: Vec<f64>,
    /// The weights of its samples, if they are not all 1; kept for its capacity.
    sample_weight: Vec<f32>,
}

/// The samples of a step, and what is done with them.
pub(super) struct Batch<'b> {
    pub(super) network: &'b Network,
    pub(super) chunk: &'b Chunk<'b>,
    pub(super) weighting: Weighting<'b>,
    pub(super) weights: &'b [f32],
    pub(super) objective: &'b Objective,
    pub(super) seed: u64,
}

/// Whether threads work on samples of their own rather than together on each layer.
pub(super) fn is_small(network: &Network) -> bool {
    network.weights_len <= MOST_WEIGHTS
}

/// How many samples a part of a batch has.
fn shard_size(network: &Network, batch_size: usize) -> usize {
    if !is_small(network) || !network.is_per_sample() {
        return batch_size;
    }
    let blocks = batch_size.div_ceil(LANES);
    (blocks.div_ceil(MOST_SHARDS) * LANES).min(batch_size)
}

impl Shards {
    /// For batches of up to this many samples.
    pub(super) fn new(network: &Network, batch_size: usize) -> Self {
        let size = shard_size(network, batch_size);
        let shard = |_| Shard {
            gradients: Buffer::zeros(network.trainable_len),
            outputs: vec![Vec::new(); network.outputs.len()],
            targets: vec![Vec::new(); network.outputs.len()],
            losses: vec![0.0; network.outputs.len()],
            sample_weight: Vec::with_capacity(size),
        };
        let shards = (0..batch_size.div_ceil(size)).map(shard).collect();
        Self { batch_size, size, shards, idle: Mutex::default() }
    }

    /// Whether these are the parts for batches of up to so many samples. Results must not depend on
    /// which sizes came before.
    pub(super) fn are_for(&self, batch_size: usize) -> bool {
        self.batch_size == batch_size
    }

    /// Forward, loss and backward. The parts' gradients are added up in order.
    pub(super) fn run(&mut self, batch: &Batch<'_>, state: &mut [f32]) {
        let n = batch.chunk.places.len();
        let parts = n.div_ceil(self.size);
        let (size, idle) = (self.size, &self.idle);
        let idle = || idle.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |shard: &mut Shard, own, state: &mut [f32], seed| {
            let workspace = idle().pop();
            let mut workspace =
                workspace.unwrap_or_else(|| TrainingWorkspace::new(batch.network, size));
            shard.run(batch, &mut workspace, own, state, seed);
            idle().push(workspace);
        };
        if parts == 1 {
            return run(&mut self.shards[0], 0..n, state, batch.seed);
        }
        self.shards[..parts].par_iter_mut().enumerate().for_each(|(part, shard)| {
            let own = part * size..n.min((part + 1) * size);
            // Networks with a state are not cut into parts.
            run(shard, own, &mut [], derive(batch.seed, part as u64));
        });
        let Some((first, others)) = self.shards[..parts].split_first_mut() else { return };
        let sums = first.gradients.par_chunks_mut(CHUNK).enumerate();
        // Counted threefold, since most of it lies in the caches of other threads, and one of them that waits
        // for long falls asleep and has to be woken.
        let work = bytes(3 * 4 * parts * batch.network.trainable_len);
        sums.worth(work).for_each(|(i, sums)| {
            for other in &*others {
                let more = &other.gradients[i * CHUNK..][..sums.len()];
                sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        });
    }

    /// The gradients to all weights after a run.
    pub(super) fn gradients(&mut self) -> &mut [f32] {
        &mut self.shards[0].gradients
    }

    /// Calls `f` with what came out of a run over `n` samples, part after part: the output's number,
    /// the sum of the losses, the output and its targets.
    pub(super) fn each_output(&self, n: usize, mut f: impl FnMut(usize, f64, &[f32], &[f32])) {
        for shard in &self.shards[..n.div_ceil(self.size)] {
            for (i, &loss) in shard.losses.iter().enumerate() {
                f(i, loss, &shard.outputs[i], &shard.targets[i]);
            }
        }
    }
}

impl Shard {
    /// These of the batch's samples.
    fn run(
        &mut self,
        batch: &Batch<'_>,
        workspace: &mut TrainingWorkspace,
        own: Range<usize>,
        state: &mut [f32],
        seed: u64,
    ) {
        let n = own.len();
        let Batch { chunk, weights, objective, .. } = *batch;
        let &Chunk { x, y, places, indices, .. } = chunk;
        let share = n as f32 / places.len() as f32;
        let (places, indices) = (&places[own.clone()], &indices[own]);
        for i in 0..x.arrays() {
            x.gather(i, places, workspace.input(i, n));
        }
        workspace.forward(n, weights, state, seed);
        for i in 0..y.arrays() {
            let targets = &mut self.targets[i];
            targets.resize(n * y.size(i), 0.0);
            y.gather(i, places, targets);
            let (output, gradient) = workspace.output_and_gradient(i, n);
            self.losses[i] = objective.run(OutputPass {
                output: i,
                n,
                y: output,
                targets,
                sample_weight: batch.weighting.of(indices, targets, &mut self.sample_weight),
                gradient: Some((gradient, share)),
            });
            self.outputs[i].clear();
            self.outputs[i].extend_from_slice(output);
        }
        workspace.backward(n, weights, &mut self.gradients);
    }
}
