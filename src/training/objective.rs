use crate::losses::{Loss, LossPass, Losses};
use crate::model::{Network, Step};
use crate::words::counted;

/// The losses, and how they take each output of a model.
#[derive(Debug)]
pub(super) struct Objective {
    losses: Vec<Box<dyn Loss>>,
    outputs: Vec<Target>,
    /// How much the loss of each output counts, if it was said.
    weights: Option<Vec<f64>>,
    /// What is wrong with the losses given, for those that are about to use them.
    problem: Option<String>,
}

/// An output as its loss sees it.
#[derive(Debug)]
struct Target {
    /// Which of the losses is its.
    loss: usize,
    classes: usize,
    /// Whether it comes as scores.
    scores: bool,
}

/// Some samples of one output, and what their loss is asked for.
pub(super) struct OutputPass<'a> {
    pub(super) output: usize,
    pub(super) n: usize,
    pub(super) y: &'a mut [f32],
    pub(super) targets: &'a [f32],
    /// What the loss of each sample is multiplied by, if not by 1.
    pub(super) sample_weight: Option<&'a [f32]>,
    /// The gradient, to be written, and the share that these samples have in their batch.
    pub(super) gradient: Option<(&'a mut [f32], f32)>,
}

impl Objective {
    /// Takes the activation off those outputs of the network that their losses pair with.
    pub(super) fn new(losses: Losses, network: &mut Network) -> Self {
        let (losses, assigned) = assign(losses, network);
        let (which, problem) = match assigned {
            Ok(which) => (which, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let mut outputs = Vec::with_capacity(which.len());
        for (output, loss) in network.outputs.clone().into_iter().zip(which) {
            let read = network.steps.iter().any(|step| step.inputs.contains(&output));
            let step = &mut network.steps[output];
            let scores = !read && take_activation(step, &*losses[loss]);
            let classes = step.shape.last().copied().unwrap_or(1);
            outputs.push(Target { loss, classes, scores });
        }
        Self { losses, outputs, weights: None, problem }
    }

    /// How much the loss of each output counts.
    pub(super) fn weigh(&mut self, weights: Vec<f64>) {
        self.weights = Some(weights);
    }

    /// What makes no sense in the losses.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if let Some(weights) = &self.weights {
            let [given, outputs] = [weights.len(), self.outputs.len()];
            if given != outputs {
                return Err(format!(
                    "loss_weights has {}, the model has {}; give one for each",
                    counted(given, "number"),
                    counted(outputs, "output")
                ));
            }
            if let Some(wrong) = weights.iter().find(|weight| !(0.0..=f64::MAX).contains(*weight)) {
                return Err(format!(
                    "loss_weights holds {wrong}; each must be at least 0 and finite"
                ));
            }
        }
        self.losses.iter().try_for_each(|loss| loss.check())
    }

    /// The loss of an output.
    pub(super) fn loss(&self, output: usize) -> &dyn Loss {
        &*self.losses[self.outputs[output].loss]
    }

    /// How much the loss of an output counts.
    pub(super) fn weight(&self, output: usize) -> f64 {
        // Too few are refused before any work.
        self.weights.as_ref().and_then(|weights| weights.get(output)).map_or(1.0, |weight| *weight)
    }

    /// The classes of an output.
    pub(super) fn classes(&self, output: usize) -> usize {
        self.outputs[output].classes
    }

    /// The sum of the losses of samples in one output, each times the weight of its sample. The
    /// gradient is that of the mean over the batch of all losses, times the output's weight.
    pub(super) fn run(&self, pass: OutputPass<'_>) -> f64 {
        let OutputPass { output, n, y, targets, sample_weight, gradient } = pass;
        let Target { classes, scores, .. } = self.outputs[output];
        let (mut dy, share) = gradient.unzip();
        let share = share.unwrap_or(1.0) * self.weight(output) as f32;
        let loss = self.loss(output);
        let Some(weights) = sample_weight else {
            return loss.run(LossPass { n, classes, y, scores, targets, dy, share });
        };
        let [size, target] = [y.len() / n, targets.len() / n];
        let mut sum = 0.0;
        for (i, (y, &weight)) in y.chunks_exact_mut(size).zip(weights).enumerate() {
            let dy = dy.as_deref_mut().map(|dy| &mut dy[i * size..][..size]);
            let targets = &targets[i * target..][..target];
            let share = share * weight / n as f32;
            let own = loss.run(LossPass { n: 1, classes, y, scores, targets, dy, share });
            sum += f64::from(weight) * own;
        }
        sum
    }
}

/// For each output, the number of its loss; or why it has none.
type Assignment = Result<Vec<usize>, String>;

/// The losses, and which of them belongs to each output.
fn assign(losses: Losses, network: &Network) -> (Vec<Box<dyn Loss>>, Assignment) {
    let names: Vec<&str> =
        network.outputs.iter().map(|&output| network.steps[output].name.as_str()).collect();
    let list = match losses {
        Losses::Same(loss) => return (vec![loss], Ok(vec![0; names.len()])),
        Losses::Each(list) => list,
    };
    let (given, losses): (Vec<Option<String>>, Vec<Box<dyn Loss>>) = list.into_iter().unzip();
    let named: Vec<&str> = given.iter().flatten().map(String::as_str).collect();
    let advice = format!("the model's outputs are {}; give a loss for each", names.join(", "));
    let assigned = if let Some(unknown) = named.iter().find(|name| !names.contains(name)) {
        Err(format!("there is a loss for `{unknown}`; {advice}"))
    } else if !named.is_empty() && named.len() < given.len() {
        Err(format!("some losses have the name of an output and some have none; {advice}"))
    } else if given.len() != names.len() {
        let [losses, outputs] = [given.len(), names.len()];
        let (losses, outputs) = (counted(losses, "loss"), counted(outputs, "output"));
        Err(format!("got {losses} for {outputs}; {advice}"))
    } else if named.is_empty() {
        Ok((0..names.len()).collect())
    } else {
        let place = |name: &&str| {
            let place = named.iter().position(|given| given == name);
            place.ok_or_else(|| format!("there is no loss for `{name}`; {advice}"))
        };
        names.iter().map(place).collect()
    };
    (losses, assigned)
}

/// Takes the activation off a step if a loss pairs with it.
fn take_activation(step: &mut Step, loss: &dyn Loss) -> bool {
    match step.layer.as_ref().and_then(|layer| layer.without_activation()) {
        Some((activation, rest)) if loss.pairs_with() == Some(activation) => {
            step.layer = Some(rest);
            true
        }
        _ => false,
    }
}
