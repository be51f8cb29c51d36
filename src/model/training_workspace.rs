//! The arrays of a training step, planned once and used for every batch, and its two passes.

use crate::kernels::buffer::Buffer;
use crate::kernels::elementwise::each;
use crate::layers::{Backward, Forward, Gradients, Weights, WeightsMut};
use crate::random::derive;

use super::network::{Network, Step};
use super::slots::{Life, share};
use super::workspace::{Workspace, inputs, layers};

/// Space for training steps over up to `capacity` samples: the outputs, what forward leaves for
/// backward, and the gradients to the outputs.
#[derive(Debug)]
pub(crate) struct TrainingWorkspace {
    pass: Workspace,
    saved: Vec<Buffer>,
    scratch: Buffer,
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
        let pass = Workspace::for_training(network, capacity);
        let network = &pass.network;
        let count = network.steps.len();
        let len = |i: usize| {
            let step = &network.steps[i];
            step.layout.floats(capacity, step.shape.size())
        };
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
            let layer = step.layer.as_ref();
            let len = layer.map(|l| l.saved_len(&step.input_shapes, capacity, step.layout));
            Buffer::zeros(len.unwrap_or(0))
        };
        let scratch = layers(network)
            .map(|(_, step, layer)| layer.scratch_len(&step.input_shapes, capacity, step.layout))
            .max();
        Self {
            scratch: Buffer::zeros(scratch.unwrap_or(0)),
            saved: network.steps.iter().map(saved).collect(),
            gradients: lens.into_iter().map(Buffer::zeros).collect(),
            destinations: arrays.iter().map(|a| a.iter().map(destination).collect()).collect(),
            gradient_slots: slots,
            on_loan: Vec::new(),
            pass,
        }
    }

    /// The model's `index`th input for `n` samples, for the caller to fill.
    pub(crate) fn input(&mut self, index: usize, n: usize) -> &mut [f32] {
        self.pass.input(index, n)
    }

    /// The model's `index`th output and the gradient to it, which is for the caller to fill.
    pub(crate) fn output_and_gradient(
        &mut self,
        index: usize,
        n: usize,
    ) -> (&mut [f32], &mut [f32]) {
        let step = self.pass.network.outputs[index];
        let gradient = &mut self.gradients[self.gradient_slots[step]];
        let output = self.pass.output(index, n);
        let len = output.len();
        (output, &mut gradient[..len])
    }

    /// The gradient to the model's `index`th input after `backward`, in rows; of a network that learns from
    /// there on.
    pub(super) fn input_gradient(&self, index: usize, n: usize) -> &[f32] {
        let step = self.pass.network.inputs[index];
        let len = n * self.pass.network.steps[step].shape.size();
        &self.gradients[self.gradient_slots[step]][..len]
    }

    /// Runs the forward pass of training over the `n` samples in the inputs.
    pub(crate) fn forward(&mut self, n: usize, weights: &[f32], state: &mut [f32], seed: u64) {
        assert!(n <= self.pass.capacity);
        let Workspace { network, slots, input_slots, outputs, .. } = &mut self.pass;
        for (i, step, layer) in layers(network) {
            let mut y = std::mem::take(&mut outputs[slots[i]]);
            let saved = layer.saved_len(&step.input_shapes, n, step.layout);
            layer.forward(Forward {
                n,
                layout: step.layout,
                x: inputs(outputs, &input_slots[i], step, n),
                w: Weights { floats: weights, ranges: &step.trainable },
                state: WeightsMut { floats: state, ranges: &step.frozen },
                trainable: !step.is_fixed,
                y: &mut y[..step.layout.floats(n, step.shape.size())],
                saved: &mut self.saved[i][..saved],
                seed: derive(seed, i as u64),
            });
            outputs[slots[i]] = y;
        }
    }

    /// Runs backward from the gradients to the outputs; writes the gradients to all weights.
    pub(crate) fn backward(&mut self, n: usize, weights: &[f32], weight_gradients: &mut [f32]) {
        let Workspace { network, slots, input_slots, outputs, .. } = &mut self.pass;
        for (i, step, layer) in layers(network).rev().filter(|(_, step, _)| step.learns) {
            let mut dy = std::mem::take(&mut self.gradients[self.gradient_slots[i]]);
            for destination in &self.destinations[i] {
                let buffer = destination.map(|d| std::mem::take(&mut self.gradients[d.slot]));
                self.on_loan.push(buffer);
            }
            let len = step.layout.floats(n, step.shape.size());
            let [saved, worked_in] = [
                layer.saved_len(&step.input_shapes, n, step.layout),
                layer.scratch_len(&step.input_shapes, n, step.layout),
            ];
            let (buffers, shapes) = (&mut *self.on_loan, &*step.input_shapes);
            layer.backward(Backward {
                n,
                layout: step.layout,
                x: inputs(outputs, &input_slots[i], step, n),
                w: Weights { floats: weights, ranges: &step.trainable },
                y: &outputs[slots[i]][..len],
                dy: &mut dy[..len],
                saved: &mut self.saved[i][..saved],
                scratch: &mut self.scratch[..worked_in],
                dx: Gradients { n, layout: step.input_layout, buffers, shapes },
                trainable: !step.is_fixed,
                dw: WeightsMut {
                    floats: weight_gradients,
                    ranges: if step.is_fixed { &[] } else { &step.trainable },
                },
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
                    let len = step.input_layout.floats(n, shape.size());
                    each(&mut self.gradients[sum][..len], &part[..len], |sum, part| *sum += part);
                    self.gradients[slot] = part;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Input, Node, Nodes};
    use crate::layers::*;
    use crate::model::Model;

    /// The output of a forward pass over `n` samples, and the gradients to the weights from any gradient to
    /// that output.
    fn pass(network: &Network, n: usize, weights: &[f32]) -> [Vec<f32>; 2] {
        let mut workspace = TrainingWorkspace::new(network, n);
        let x = workspace.input(0, n);
        x.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 37 % 101) as f32 / 50.0 - 1.0);
        workspace.forward(n, weights, &mut vec![0.0; network.frozen_len], 0);
        let (output, gradient) = workspace.output_and_gradient(0, n);
        gradient.iter_mut().zip(&*output).for_each(|(g, y)| *g = y.sin());
        let output = output.to_vec();
        let mut gradients = vec![f32::NAN; network.trainable_len];
        workspace.backward(n, weights, &mut gradients);
        [output, network.weights().flat_map(|(_, at)| gradients[at].to_vec()).collect()]
    }

    /// Behind each layer that takes a ReLU, before a pool, and where it must stay: behind an output that
    /// another layer reads too.
    #[test]
    fn merged_relus_give_the_same_numbers() {
        let image = Input::new([9, 9, 2]);
        let model = |relu: ReLU| {
            let relu = |y: Node| y.apply(relu).unwrap();
            let y = relu(image.apply(Conv2D::new(5, 3).padding(Padding::Same)).unwrap());
            let normal = y.apply(BatchNormalization::new()).unwrap();
            let y = relu(normal.clone()).apply(DepthwiseConv2D::new(3).padding(Padding::Same));
            let y = relu(y.unwrap()).apply(SeparableConv2D::new(5, 3).padding(Padding::Same));
            let y = relu([&normal, &relu(y.unwrap())].apply(Add::new()).unwrap());
            let y = relu(y.apply(BatchNormalization::new()).unwrap());
            let y = relu(y.apply(Conv2D::new(6, 2)).unwrap()).apply(MaxPool2D::new(3)).unwrap();
            let y = relu(y.apply(Flatten::new()).unwrap().apply(Dense::new(7)).unwrap());
            Model::new(&image, y.apply(Dense::new(4)).unwrap()).unwrap().seed(1)
        };
        // With a largest value that no number here reaches it is a layer that nothing takes.
        let (plain, merged) = (model(ReLU::new().max_value(1e30)), model(ReLU::new()));
        // In rows and in lanes.
        for n in [3, 17] {
            let [plain, merged] =
                [&plain, &merged].map(|model| pass(&model.network, n, &model.weights));
            assert!(plain.iter().all(|numbers| numbers.iter().any(|&number| number != 0.0)));
            assert_eq!(plain, merged);
        }
        let steps =
            |model: &Model| TrainingWorkspace::new(&model.network, 3).pass.network.steps.len();
        assert_eq!(steps(&plain) - steps(&merged), 7);
        let inferred =
            |model: &Model| Workspace::for_inference(&model.network, 3).network.steps.len();
        assert_eq!(inferred(&plain) - inferred(&merged), 7);
    }

    /// One that copies the image, one with two readers beside it, one behind another, one in lanes.
    #[test]
    fn steps_that_copy_are_left_out() {
        let image = Input::new([9, 9, 2]);
        let model = |copy: &dyn Fn(Node) -> Node| {
            let x = copy(image.nodes().remove(0));
            let y = x.apply(Conv2D::new(5, 3)).unwrap();
            let again = copy(copy(y.clone()));
            let y = [&y, &again, &y].apply(Add::new()).unwrap();
            let y = copy(y.apply(Flatten::new()).unwrap()).apply(Dense::new(4)).unwrap();
            Model::new(&image, &y).unwrap().seed(1)
        };
        let copied = model(&|x| x.apply(Activation::Linear).unwrap());
        let plain = model(&|x| x);
        for n in [3, 17] {
            let [plain, copied] =
                [&plain, &copied].map(|model| pass(&model.network, n, &model.weights));
            assert!(plain.iter().flatten().any(|&number| number != 0.0));
            assert_eq!(plain, copied);
        }
        // The input, convolution, sum and dense layer.
        let steps = TrainingWorkspace::new(&copied.network, 3).pass.network.steps.len();
        assert_eq!((copied.network.steps.len(), steps), (9, 4));
        let dropped = model(&|x| x.apply(Dropout::new(0.5)).unwrap());
        let steps = |workspace: &Workspace| workspace.network.steps.len();
        assert_eq!(steps(&Workspace::for_inference(&dropped.network, 3)), 4);
        assert_eq!(steps(&TrainingWorkspace::new(&dropped.network, 3).pass), 8);
    }
}
