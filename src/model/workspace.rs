//! The arrays of a forward pass, planned once and used for every batch, and inference.

use std::sync::Arc;

use crate::kernels::buffer::Buffer;
use crate::kernels::lanes::worth_lanes;
use crate::layers::{Infer, Inputs, Layer, Weights};

use super::network::{Network, Step};
use super::slots::{Life, share};

/// Space for a forward pass over up to `capacity` samples.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(super) network: Network,
    pub(super) capacity: usize,
    /// For every step, the slot that holds its output, and those of its inputs.
    pub(super) slots: Vec<usize>,
    pub(super) input_slots: Vec<Vec<usize>>,
    pub(super) outputs: Vec<Buffer>,
}

impl Workspace {
    /// For inference: an output lives until its last reader has run, then its slot is used again.
    pub(crate) fn for_inference(network: &Network, capacity: usize) -> Self {
        let is_identity = |layer: &dyn Layer| {
            layer.is_identity() || layer.at_inference().is_some_and(|same| same.is_identity())
        };
        Self::new(network.laid_out(capacity, is_identity), capacity, until_read)
    }

    /// For training: every output that backward reads lives until then.
    pub(super) fn for_training(network: &Network, capacity: usize) -> Self {
        let network = network.laid_out(capacity, |layer| layer.is_identity());
        Self::new(network, capacity, |network, i| {
            let reads = |step: &Step| step.learns && step.inputs.contains(&i);
            let needed = network.steps[i].learns || network.steps.iter().any(reads);
            if needed { (0, usize::MAX) } else { until_read(network, i) }
        })
    }

    fn new(
        network: Network,
        capacity: usize,
        life: impl Fn(&Network, usize) -> (usize, usize),
    ) -> Self {
        let life = |(i, step): (usize, &Step)| {
            let (from, to) = life(&network, i);
            Life { from, to, len: step.layout.floats(capacity, step.shape.size()) }
        };
        let lives: Vec<Life> = network.steps.iter().enumerate().map(life).collect();
        let (slots, lens) = share(&lives);
        let inputs = |step: &Step| step.inputs.iter().map(|&i| slots[i]).collect();
        Self {
            capacity,
            input_slots: network.steps.iter().map(inputs).collect(),
            slots,
            outputs: lens.into_iter().map(Buffer::zeros).collect(),
            network,
        }
    }

    /// Whether it has room for `n` samples and lays them out as a workspace made for `n` would: a
    /// result must not depend on what the workspace was made for.
    pub(crate) fn suits(&self, n: usize) -> bool {
        n <= self.capacity && worth_lanes(n) == worth_lanes(self.capacity)
    }

    /// The model's `index`th input for `n` samples, in rows, for the caller to fill.
    pub(crate) fn input(&mut self, index: usize, n: usize) -> &mut [f32] {
        let step = self.network.inputs[index];
        &mut self.outputs[self.slots[step]][..n * self.network.steps[step].shape.size()]
    }

    /// The model's `index`th output for `n` samples, in rows.
    pub(crate) fn output(&mut self, index: usize, n: usize) -> &mut [f32] {
        let step = self.network.outputs[index];
        &mut self.outputs[self.slots[step]][..n * self.network.steps[step].shape.size()]
    }

    /// Runs inference over the `n` samples in the inputs.
    pub(crate) fn infer(&mut self, n: usize, weights: &[f32], state: &[f32]) {
        assert!(n <= self.capacity);
        for (i, step, layer) in layers(&self.network) {
            let mut y = std::mem::take(&mut self.outputs[self.slots[i]]);
            layer.infer(Infer {
                n,
                layout: step.layout,
                x: inputs(&self.outputs, &self.input_slots[i], step, n),
                w: Weights { floats: weights, ranges: &step.trainable },
                state: Weights { floats: state, ranges: &step.frozen },
                y: &mut y[..step.layout.floats(n, step.shape.size())],
            });
            self.outputs[self.slots[i]] = y;
        }
    }
}

/// From when on the output of a step is there, and when its last reader has run.
fn until_read(network: &Network, i: usize) -> (usize, usize) {
    let last_reader = network.steps.iter().rposition(|step| step.inputs.contains(&i));
    let is_output = network.outputs.contains(&i);
    let to = if is_output { usize::MAX } else { last_reader.unwrap_or(i) };
    // The caller writes all inputs before the first step.
    (if network.steps[i].layer.is_none() { 0 } else { i }, to)
}

/// The steps that have a layer, with their positions.
pub(super) fn layers(
    network: &Network,
) -> impl DoubleEndedIterator<Item = (usize, &Step, &Arc<dyn Layer>)> {
    let steps = network.steps.iter().enumerate();
    steps.filter_map(|(i, step)| step.layer.as_ref().map(|layer| (i, step, layer)))
}

pub(super) fn inputs<'a>(
    outputs: &'a [Buffer],
    slots: &'a [usize],
    step: &'a Step,
    n: usize,
) -> Inputs<'a> {
    Inputs { n, layout: step.input_layout, outputs, slots, shapes: &step.input_shapes }
}
