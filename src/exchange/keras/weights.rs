//! Which weights of a file are which of a model, and what they are.

use std::collections::HashSet;

use hdf5_reader::{ByteOrder, Dataset, Datatype};
use ndarray::ArrayD;

use super::file::{KerasFile, Stored};
use crate::layers::snake_case;
use crate::model::{Matching, Network, Step};

/// All weights of a network by name, as a file has them.
pub(super) fn weights(
    network: &Network,
    file: &KerasFile,
) -> Result<Vec<(String, ArrayD<f32>)>, String> {
    let mut matching = Matching::default();
    matching.left_over(file.others.iter().cloned());
    let mut weights = Vec::new();
    let (pairs, left) = paired(network, &file.layers);
    for (step, stored) in pairs {
        let found = stored.map_or(&[][..], |stored| &stored.weights);
        for (index, spec) in step.weights.iter().enumerate() {
            let name = format!("{}/{}", step.name, spec.name);
            let Some(weight) = found.get(index) else {
                matching.missing.push(name);
                continue;
            };
            match read(weight, &spec.shape) {
                Ok(floats) => weights.push((name, floats)),
                Err(Unfit::Differs(dtype, shape)) => {
                    matching.differs(&name, &dtype, &shape, &spec.shape);
                }
                Err(Unfit::Damaged(why)) => {
                    return Err(format!("has damaged numbers for `{name}`: {why}; save them anew"));
                }
            }
        }
        let more = found.iter().skip(step.weights.len());
        matching.left_over(stored.iter().flat_map(|stored| places(stored, more.clone())));
    }
    matching.left_over(left.iter().flat_map(|left| places(left, left.weights.iter())));
    matching.strictly()?;
    Ok(weights)
}

/// The layers with weights, each with its weights in the file, and what is left of these.
///
/// A layer that was given a name is the one of that name in Keras. Of the others, those of one class are
/// in the same order.
fn paired<'a>(
    network: &'a Network,
    stored: &'a [Stored],
) -> (Vec<(&'a Step, Option<&'a Stored>)>, Vec<&'a Stored>) {
    let steps: Vec<&Step> = network.steps.iter().filter(|step| !step.weights.is_empty()).collect();
    let mut left: Vec<&Stored> = stored.iter().filter(|of| !of.weights.is_empty()).collect();
    left.sort_by_key(|stored| stored.class());
    let own: HashSet<&str> = steps.iter().filter_map(|step| step.node.name()).collect();
    let (mut named, mut left): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|stored| own.contains(&*stored.name));
    let mut take = |step: &Step| match step.node.name() {
        Some(name) => {
            let place = named.iter().position(|stored| stored.name == name)?;
            Some(named.remove(place))
        }
        None => {
            let class = snake_case(step.layer.as_ref()?.class_name());
            let place = left.iter().position(|stored| stored.class().0 == class)?;
            Some(left.remove(place))
        }
    };
    let pairs = steps.into_iter().map(|step| (step, take(step))).collect();
    left.append(&mut named);
    (pairs, left)
}

/// The names of weights that no layer here wants.
fn places<'a>(
    stored: &'a Stored,
    weights: impl Iterator<Item = &'a Dataset>,
) -> impl Iterator<Item = String> {
    weights.map(|weight| format!("{}/vars/{} of {}", stored.place, weight.name(), stored.name))
}

/// Why a weight is not taken.
enum Unfit {
    /// The type and the shape are others.
    Differs(String, Vec<usize>),
    Damaged(String),
}

/// The numbers of a weight that has this shape.
fn read(weight: &Dataset, wanted: &[usize]) -> Result<ArrayD<f32>, Unfit> {
    let sizes = weight.shape().iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX));
    let shape: Vec<usize> = sizes.collect();
    let floats = Datatype::FloatingPoint { size: 4, byte_order: ByteOrder::LittleEndian };
    if *weight.dtype() != floats {
        return Err(Unfit::Differs(described(weight.dtype()), shape));
    }
    if shape != wanted {
        return Err(Unfit::Differs("F32".to_string(), shape));
    }
    weight.read_array::<f32>().map_err(|error| Unfit::Damaged(error.to_string()))
}

/// A type in few words.
fn described(dtype: &Datatype) -> String {
    match dtype {
        Datatype::FloatingPoint { size, .. } => format!("F{}", 8 * u32::from(*size)),
        Datatype::FixedPoint { size, .. } => format!("I{}", 8 * u32::from(*size)),
        _ => "something else".to_string(),
    }
}
