//! What a layer is handed when it runs. The arrays belong to the model and the pass, never to the
//! layer.

use std::ops::Range;

use crate::kernels::buffer::Buffer;
use crate::kernels::layout::Layout;
use crate::shape::Shape;

/// Inference: `y` from `x` and the weights.
#[derive(Debug)]
pub struct Infer<'a> {
    /// How many samples.
    pub n: usize,
    /// How `x` and `y` lie in memory: `Rows`, unless the layer's `lanes` says that it can do both.
    pub layout: Layout,
    /// The inputs, each `(n, shape…)`.
    pub x: Inputs<'a>,
    /// The trainable weights.
    pub w: Weights<'a>,
    /// The weights that training does not move, such as moving averages.
    pub state: Weights<'a>,
    /// The output `(n, shape…)`, to be overwritten.
    pub y: &'a mut [f32],
}

/// The forward pass of training.
#[derive(Debug)]
pub struct Forward<'a> {
    /// How many samples.
    pub n: usize,
    /// How `x` and `y` lie in memory: `Rows`, unless the layer's `lanes` says that it can do both.
    pub layout: Layout,
    /// The inputs, each `(n, shape…)`.
    pub x: Inputs<'a>,
    /// The trainable weights.
    pub w: Weights<'a>,
    /// The weights that the optimizer does not move, such as moving averages; the layer may.
    pub state: WeightsMut<'a>,
    /// Whether the layer is trained, see [`Layer::trainable`](super::Layer::trainable).
    pub trainable: bool,
    /// The output `(n, shape…)`, to be overwritten.
    pub y: &'a mut [f32],
    /// What `backward` will see again, as many floats as `saved_len` asked for.
    pub saved: &'a mut [f32],
    /// A seed that no other layer and no other step has.
    pub seed: u64,
}

impl Forward<'_> {
    /// The same pass as inference sees it, for layers that do the same in both.
    pub fn as_infer(&mut self) -> Infer<'_> {
        self.infer_and_saved().0
    }

    /// The same pass as inference sees it, and the floats for `backward`, for layers that in
    /// training only keep more.
    pub fn infer_and_saved(&mut self) -> (Infer<'_>, &mut [f32]) {
        let infer = Infer {
            n: self.n,
            layout: self.layout,
            x: self.x,
            w: self.w,
            state: Weights { floats: self.state.floats, ranges: self.state.ranges },
            y: self.y,
        };
        (infer, self.saved)
    }
}

/// The backward pass: from `dy`, the gradient of the loss to the output, the gradients to the inputs
/// and the weights.
#[derive(Debug)]
pub struct Backward<'a> {
    /// How many samples.
    pub n: usize,
    /// How `x` and `y` lie in memory: `Rows`, unless the layer's `lanes` says that it can do both.
    pub layout: Layout,
    /// The inputs of the forward pass.
    pub x: Inputs<'a>,
    /// The trainable weights.
    pub w: Weights<'a>,
    /// The output of the forward pass.
    pub y: &'a [f32],
    /// The gradient to the output. The layer is its last reader and may overwrite it.
    pub dy: &'a mut [f32],
    /// What `forward` left.
    pub saved: &'a mut [f32],
    /// Floats to work in, as many as `scratch_len` asked for, with unspecified contents.
    pub scratch: &'a mut [f32],
    /// The gradients to the inputs, to be overwritten.
    pub dx: Gradients<'a>,
    /// Whether the layer is trained, see [`Layer::trainable`](super::Layer::trainable).
    pub trainable: bool,
    /// The gradients to the trainable weights, to be overwritten; of a layer that is not trained they
    /// are not wanted, and empty.
    pub dw: WeightsMut<'a>,
}

/// The inputs of a layer, in the order of `apply`.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub(crate) n: usize,
    pub(crate) layout: Layout,
    pub(crate) outputs: &'a [Buffer],
    pub(crate) slots: &'a [usize],
    pub(crate) shapes: &'a [Shape],
}

impl<'a> Inputs<'a> {
    /// The floats `(n, shape…)` of one input.
    pub fn get(&self, index: usize) -> &'a [f32] {
        &self.outputs[self.slots[index]][..self.layout.floats(self.n, self.shapes[index].size())]
    }

    /// The shape of one sample of an input.
    pub fn shape(&self, index: usize) -> &'a Shape {
        &self.shapes[index]
    }

    /// The shapes of all inputs.
    pub fn shapes(&self) -> &'a [Shape] {
        self.shapes
    }
}

/// Weights of a layer, in the order in which it listed them.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    pub(crate) floats: &'a [f32],
    pub(crate) ranges: &'a [Range<usize>],
}

impl<'a> Weights<'a> {
    /// The floats of one weight; empty where the layer has no such weight, as without a bias.
    pub fn get(&self, index: usize) -> &'a [f32] {
        self.ranges.get(index).map_or(&[], |range| &self.floats[range.clone()])
    }
}

/// Weights of a layer, or the gradients to them, to be written.
#[derive(Debug)]
pub struct WeightsMut<'a> {
    pub(crate) floats: &'a mut [f32],
    pub(crate) ranges: &'a [Range<usize>],
}

impl WeightsMut<'_> {
    /// The floats of one weight; empty where the layer has no such weight or it is not wanted.
    pub fn get(&mut self, index: usize) -> &mut [f32] {
        self.ranges.get(index).map_or(&mut [], |range| &mut self.floats[range.clone()])
    }

    /// The floats of the first `N` weights at once; empty where the layer has fewer.
    pub fn all<const N: usize>(&mut self) -> [&mut [f32]; N] {
        let (mut rest, mut start) = (&mut *self.floats, 0);
        std::array::from_fn(|index| {
            let Some(range) = self.ranges.get(index) else { return &mut [][..] };
            let (_, behind) = std::mem::take(&mut rest).split_at_mut(range.start - start);
            let (weight, behind) = behind.split_at_mut(range.len());
            (rest, start) = (behind, range.end);
            weight
        })
    }
}

/// The gradients to the inputs of a layer.
#[derive(Debug)]
pub struct Gradients<'a> {
    pub(crate) n: usize,
    pub(crate) layout: Layout,
    pub(crate) buffers: &'a mut [Option<Buffer>],
    pub(crate) shapes: &'a [Shape],
}

impl Gradients<'_> {
    /// The gradient `(n, shape…)` to one input; `None` where nothing before it learns.
    pub fn get(&mut self, index: usize) -> Option<&mut [f32]> {
        let len = self.layout.floats(self.n, self.shapes[index].size());
        self.buffers[index].as_mut().map(|buffer| &mut buffer[..len])
    }
}
