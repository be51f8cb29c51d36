use crate::losses::{Loss, LossPass};
use crate::model::Network;

/// The loss, and how it takes each output of a model.
#[derive(Debug)]
pub(super) struct Objective {
    pub(super) loss: Box<dyn Loss>,
    /// For each output, its number of classes, and whether it comes as scores.
    outputs: Vec<(usize, bool)>,
}

impl Objective {
    /// Takes the activation off those outputs of the network that the loss pairs with.
    pub(super) fn new(loss: impl Loss + 'static, network: &mut Network) -> Self {
        let mut outputs = Vec::with_capacity(network.outputs.len());
        for output in network.outputs.clone() {
            let read = network.steps.iter().any(|step| step.inputs.contains(&output));
            let step = &mut network.steps[output];
            let layer = step.layer.as_ref();
            let scores = match layer.and_then(|layer| layer.without_activation()) {
                Some((activation, rest)) if !read && loss.pairs_with() == Some(activation) => {
                    step.layer = Some(rest);
                    true
                }
                _ => false,
            };
            outputs.push((step.shape.last().copied().unwrap_or(1), scores));
        }
        Self { loss: Box::new(loss), outputs }
    }

    /// The classes of an output.
    pub(super) fn classes(&self, output: usize) -> usize {
        self.outputs[output].0
    }

    /// The sum of the losses of `n` samples in one output `y`. With a gradient to be written comes the
    /// share that these samples have in their batch.
    pub(super) fn run(
        &self,
        output: usize,
        n: usize,
        y: &mut [f32],
        targets: &[f32],
        gradient: Option<(&mut [f32], f32)>,
    ) -> f64 {
        let (classes, scores) = self.outputs[output];
        let (dy, share) = gradient.unzip();
        let share = share.unwrap_or(1.0);
        self.loss.run(LossPass { n, classes, y, scores, targets, dy, share })
    }
}
