use crate::metrics::arg_max;
use crate::shape::Shape;

/// How much the loss of each sample counts: by itself and by its class.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weighting<'a> {
    /// For each sample of all there are.
    pub(super) samples: Option<&'a [f32]>,
    /// For each class of the only output.
    pub(super) classes: Option<&'a [f32]>,
}

impl Weighting<'_> {
    /// The weights of some samples, of which these are the targets; `None` if all count alike.
    /// `space` is kept for its capacity.
    pub(super) fn of<'s>(
        &self,
        samples: &[usize],
        targets: &[f32],
        space: &'s mut Vec<f32>,
    ) -> Option<&'s [f32]> {
        if self.samples.is_none() && self.classes.is_none() {
            return None;
        }
        space.clear();
        let targets = targets.chunks_exact(targets.len() / samples.len());
        space.extend(samples.iter().zip(targets).map(|(&sample, target)| {
            let own = self.samples.map_or(1.0, |weights| weights[sample]);
            own * self.classes.map_or(1.0, |weights| weights.get(class(target)).map_or(1.0, |w| *w))
        }));
        Some(space)
    }
}

/// The class of a sample: its label, or the first of the truest.
fn class(target: &[f32]) -> usize {
    match target {
        // As NumPy rounds a label between two classes.
        [label] => label.round_ties_even() as usize,
        row => arg_max(row),
    }
}

/// The weight of each class of the only one of these outputs, 1 where none is given. The error is the end
/// of a sentence that begins with the method.
pub(super) fn class_weights(
    given: &[(usize, f32)],
    outputs: &[&Shape],
) -> Result<Vec<f32>, String> {
    let [output] = outputs else {
        return Err(format!(
            "class_weight is for models with one output, this one has {}; give the samples weights \
             with Weighted",
            outputs.len()
        ));
    };
    if output.len() != 1 {
        return Err(format!(
            "class_weight is for one label a sample, the output has the shape {output}; give the \
             samples weights with Weighted"
        ));
    }
    // A single number says which of two classes it is.
    let classes = output[0].max(2);
    let mut weights = vec![1.0; classes];
    for (i, &(class, weight)) in given.iter().enumerate() {
        if class >= classes {
            return Err(format!(
                "class_weight names class {class}, the model has {classes} classes; they are counted \
                 from 0"
            ));
        }
        if given[..i].iter().any(|&(other, _)| other == class) {
            return Err(format!("class_weight names class {class} twice; give it one weight"));
        }
        if !(0.0..=f32::MAX).contains(&weight) {
            return Err(format!(
                "class_weight of class {class} is {weight}; it must be at least 0 and finite"
            ));
        }
        weights[class] = weight;
    }
    Ok(weights)
}
