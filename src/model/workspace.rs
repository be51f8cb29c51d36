//! The arrays of a pass, planned once and used for every batch, and the passes themselves.

use std::sync::Arc;

use crate::kernels::buffer::Buffer;
use crate::layers::{Backward, Forward, Gradients, Infer, Inputs, Layer, Weights, WeightsMut};
use crate::random::derive;

use super::network::{Network, Step};
use super::slots::{Life, share};

/// Space for a forward pass over up to `capacity` samples.
#[derive(Debug)]
pub(crate) struct Workspace {
    capacity: usize,
    /// For every step, the slot that holds its output, and those of its inputs.
    slots: Vec<usize>,
    input_slots: Vec<Vec<usize>>,
    outputs: Vec<Buffer>,
    scratch: Buffer,
}

impl Workspace {
    /// For inference: an output lives until its last reader has run, then its slot is used again.
    pub(crate) fn for_inference(network: &Network, capacity: usize) -> Self {
        Self::new(network, capacity, |i, step| {
            let last_reader = network.steps.iter().rposition(|step| step.inputs.contains(&i));
            Life {
                // The caller writes all inputs before the first step.
                from: if step.layer.is_none() { 0 } else { i },
                to: if network.outputs.contains(&i) {
                    usize::MAX
                } else {
                    last_reader.unwrap_or(i)
                },
                len: capacity * step.shape.size(),
            }
        })
    }

    /// For training: every output lives until backward.
    fn for_training(network: &Network, capacity: usize) -> Self {
        Self::new(network, capacity, |_, step| Life {
            from: 0,
            to: usize::MAX,
            len: capacity * step.shape.size(),
        })
    }

    fn new(network: &Network, capacity: usize, life: impl Fn(usize, &Step) -> Life) -> Self {
        let lives: Vec<Life> =
            network.steps.iter().enumerate().map(|(i, step)| life(i, step)).collect();
        let (slots, lens) = share(&lives);
        let scratch = layers(network)
            .map(|(_, step, layer)| layer.scratch_len(&step.input_shapes, capacity))
            .max()
            .unwrap_or(0);
        let inputs = |step: &Step| step.inputs.iter().map(|&i| slots[i]).collect();
        Self {
            capacity,
            input_slots: network.steps.iter().map(inputs).collect(),
            slots,
            outputs: lens.into_iter().map(Buffer::zeros).collect(),
            scratch: Buffer::zeros(scratch),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The output of a step for `n` samples; that of an input is for the caller to fill.
    pub(crate) fn output(&mut self, network: &Network, step: usize, n: usize) -> &mut [f32] {
        &mut self.outputs[self.slots[step]][..n * network.steps[step].shape.size()]
    }

    /// Runs inference over the `n` samples in the inputs.
    pub(crate) fn infer(&mut self, network: &Network, n: usize, weights: &[f32], state: &[f32]) {
        assert!(n <= self.capacity);
        for (i, step, layer) in layers(network) {
            let mut y = std::mem::take(&mut self.outputs[self.slots[i]]);
            layer.infer(Infer {
                n,
                x: inputs(&self.outputs, &self.input_slots[i], step, n),
                w: Weights { floats: weights, ranges: &step.trainable },
                state: Weights { floats: state, ranges: &step.frozen },
                y: &mut y[..n * step.shape.size()],
                scratch: &mut self.scratch[..layer.scratch_len(&step.input_shapes, n)],
            });
            self.outputs[self.slots[i]] = y;
        }
    }
}

/// Space for training steps over up to `capacity` samples: the outputs, what forward leaves for
/// backward, and the gradients to the outputs.
#[derive(Debug)]
pub(crate) struct TrainingWorkspace {
    pass: Workspace,
    saved: Vec<Buffer>,
    gradients: Vec<Buffer>,
    /// For every step, the slot of the gradient to its output.
    gradient_slots: Vec<usize>,
    /// For every step and each of its inputs, where the gradient to that input goes.
    destinations: Vec<Vec<Option<Destination>>>,
    /// The buffers on loan to the layer that runs; kept for its capacity.
    on_loan: Vec<Option<Buffer>>,
}

/// A slot that a layer writes the gradient to an input into, and the slot it is then added to if
/// another reader of the same output has written there before.
#[derive(Clone, Copy, Debug)]
struct Destination {
    slot: usize,
    add_to: Option<usize>,
}

impl TrainingWorkspace {
    pub(crate) fn new(network: &Network, capacity: usize) -> Self {
        let count = network.steps.len();
        let len = |i: usize| capacity * network.steps[i].shape.size();
        // Backward runs from the last step to the first.
        let time = |i: usize| count - 1 - i;

        // The arrays: a gradient for every step, then one for each reader that comes too late.
        let mut lives: Vec<Life> =
            (0..count).map(|i| Life { from: time(i), to: time(i), len: 0 }).collect();
        let mut written = vec![false; count];
        for &output in &network.outputs {
            lives[output] = Life { from: 0, to: time(output), len: len(output) };
            written[output] = true;
        }
        let mut arrays = vec![Vec::new(); count];
        for (i, step) in network.steps.iter().enumerate().rev() {
            for &input in &step.inputs {
                arrays[i].push(network.steps[input].learns.then(|| {
                    if written[input] {
                        lives.push(Life { from: time(i), to: time(i), len: len(input) });
                        (lives.len() - 1, Some(input))
                    } else {
                        written[input] = true;
                        lives[input] = Life { from: time(i), to: time(input), len: len(input) };
                        (input, None)
                    }
                }));
            }
        }
        let (slots, lens) = share(&lives);
        let destination = |array: &Option<(usize, Option<usize>)>| {
            array.map(|(array, add_to)| Destination {
                slot: slots[array],
                add_to: add_to.map(|input| slots[input]),
            })
        };
        let saved = |step: &Step| {
            let len = step.layer.as_ref().map(|l| l.saved_len(&step.input_shapes, capacity));
            Buffer::zeros(len.unwrap_or(0))
        };
        Self {
            pass: Workspace::for_training(network, capacity),
            saved: network.steps.iter().map(saved).collect(),
            gradients: lens.into_iter().map(Buffer::zeros).collect(),
            destinations: arrays.iter().map(|a| a.iter().map(destination).collect()).collect(),
            gradient_slots: slots,
            on_loan: Vec::new(),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.pass.capacity
    }

    /// The output of a step for `n` samples; that of an input is for the caller to fill.
    pub(crate) fn output(&mut self, network: &Network, step: usize, n: usize) -> &mut [f32] {
        self.pass.output(network, step, n)
    }

    /// The output of a step and the gradient to it, which is for the caller to fill.
    pub(crate) fn output_and_gradient(
        &mut self,
        network: &Network,
        step: usize,
        n: usize,
    ) -> (&mut [f32], &mut [f32]) {
        let gradient = &mut self.gradients[self.gradient_slots[step]];
        let output = self.pass.output(network, step, n);
        let len = output.len();
        (output, &mut gradient[..len])
    }

    /// Runs the forward pass of training over the `n` samples in the inputs.
    pub(crate) fn forward(
        &mut self,
        network: &Network,
        n: usize,
        weights: &[f32],
        state: &mut [f32],
        seed: u64,
    ) {
        assert!(n <= self.pass.capacity);
        let pass = &mut self.pass;
        for (i, step, layer) in layers(network) {
            let mut y = std::mem::take(&mut pass.outputs[pass.slots[i]]);
            layer.forward(Forward {
                n,
                x: inputs(&pass.outputs, &pass.input_slots[i], step, n),
                w: Weights { floats: weights, ranges: &step.trainable },
                state: WeightsMut { floats: state, ranges: &step.frozen },
                y: &mut y[..n * step.shape.size()],
                saved: &mut self.saved[i][..layer.saved_len(&step.input_shapes, n)],
                scratch: &mut pass.scratch[..layer.scratch_len(&step.input_shapes, n)],
                seed: derive(seed, i as u64),
            });
            pass.outputs[pass.slots[i]] = y;
        }
    }

    /// Runs backward from the gradients to the outputs; writes the gradients to all weights.
    pub(crate) fn backward(
        &mut self,
        network: &Network,
        n: usize,
        weights: &[f32],
        weight_gradients: &mut [f32],
    ) {
        let pass = &mut self.pass;
        for (i, step, layer) in layers(network).rev().filter(|(_, step, _)| step.learns) {
            let mut dy = std::mem::take(&mut self.gradients[self.gradient_slots[i]]);
            for destination in &self.destinations[i] {
                let buffer = destination.map(|d| std::mem::take(&mut self.gradients[d.slot]));
                self.on_loan.push(buffer);
            }
            let len = n * step.shape.size();
            layer.backward(Backward {
                n,
                x: inputs(&pass.outputs, &pass.input_slots[i], step, n),
                w: Weights { floats: weights, ranges: &step.trainable },
                y: &pass.outputs[pass.slots[i]][..len],
                dy: &mut dy[..len],
                saved: &mut self.saved[i][..layer.saved_len(&step.input_shapes, n)],
                scratch: &mut pass.scratch[..layer.scratch_len(&step.input_shapes, n)],
                dx: Gradients { n, buffers: &mut self.on_loan, shapes: &step.input_shapes },
                dw: WeightsMut { floats: weight_gradients, ranges: &step.trainable },
            });
            self.gradients[self.gradient_slots[i]] = dy;
            for (destination, buffer) in self.destinations[i].iter().zip(self.on_loan.drain(..)) {
                if let (Some(destination), Some(buffer)) = (destination, buffer) {
                    self.gradients[destination.slot] = buffer;
                }
            }
            for (destination, shape) in self.destinations[i].iter().zip(&step.input_shapes) {
                if let Some(Destination { slot, add_to: Some(sum) }) = *destination {
                    let part = std::mem::take(&mut self.gradients[slot]);
                    let len = n * shape.size();
                    self.gradients[sum][..len]
                        .iter_mut()
                        .zip(&part[..len])
                        .for_each(|(s, p)| *s += p);
                    self.gradients[slot] = part;
                }
            }
        }
    }
}

/// The steps that have a layer, with their positions.
fn layers(network: &Network) -> impl DoubleEndedIterator<Item = (usize, &Step, &Arc<dyn Layer>)> {
    let steps = network.steps.iter().enumerate();
    steps.filter_map(|(i, step)| step.layer.as_ref().map(|layer| (i, step, layer)))
}

fn inputs<'a>(outputs: &'a [Buffer], slots: &'a [usize], step: &'a Step, n: usize) -> Inputs<'a> {
    Inputs { n, outputs, slots, shapes: &step.input_shapes }
}
