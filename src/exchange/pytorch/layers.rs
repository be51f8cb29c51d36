//! The layers with weights that PyTorch has a like of, and how those lie there.

use std::any::Any;
use std::collections::HashMap;

use ndarray::{ArrayD, ArrayViewD, Axis};

use super::order::{Order, orders};
use crate::exchange::channels_first;
use crate::layers::{BatchNormalization, Conv2D, Dense, DepthwiseConv2D, SeparableConv2D};
use crate::model::{Network, Step};

/// A weight as PyTorch has it.
pub(super) struct Tensor {
    /// The name of the weight here, and that of the tensor there.
    pub(super) weight: String,
    pub(super) name: String,
    /// The shape there.
    pub(super) shape: Vec<usize>,
    layout: Layout,
}

/// How a weight lies there.
#[derive(Clone)]
enum Layout {
    /// `(out, in, kh, kw)`
    Conv,
    /// `(c·multiplier, 1, kh, kw)` for so many channels `c`
    Depthwise(usize),
    /// `(units, inputs)`, the inputs in this order
    Linear(Order),
    /// One axis, in this order
    Vector(Order),
}

impl Tensor {
    /// The weight as it lies there.
    pub(super) fn there(&self, weight: ArrayViewD<'_, f32>) -> ArrayD<f32> {
        match &self.layout {
            Layout::Conv => channels_first::conv(weight),
            Layout::Depthwise(_) => channels_first::depthwise(weight),
            Layout::Linear(order) => {
                let kernel = selected(weight, order);
                channels_first::contiguous(kernel.view().reversed_axes())
            }
            Layout::Vector(order) => selected(weight, order),
        }
    }

    /// The tensor as it lies here.
    pub(super) fn here(&self, tensor: ArrayD<f32>) -> ArrayD<f32> {
        match &self.layout {
            Layout::Conv => channels_first::conv_back(tensor.view()),
            Layout::Depthwise(c) => channels_first::depthwise_back(tensor, *c),
            Layout::Linear(order) => {
                let kernel = channels_first::contiguous(tensor.view().reversed_axes());
                selected(kernel.view(), &inverse(order))
            }
            Layout::Vector(order) => selected(tensor.view(), &inverse(order)),
        }
    }
}

/// The rows in this order.
fn selected(array: ArrayViewD<'_, f32>, order: &Order) -> ArrayD<f32> {
    match order {
        Some(order) => array.select(Axis(0), order),
        None => array.into_owned(),
    }
}

fn inverse(order: &Order) -> Order {
    order.as_ref().map(|order| {
        let mut inverse = vec![0; order.len()];
        order.iter().enumerate().for_each(|(there, &here)| inverse[here] = there);
        inverse
    })
}

/// All weights of a network; `names` has the modules of layers that are called otherwise there.
pub(super) fn tensors(
    network: &Network,
    names: &HashMap<&str, &str>,
) -> Result<Vec<Tensor>, String> {
    let orders = orders(network)?;
    let mut tensors = Vec::new();
    for step in network.steps.iter().filter(|step| !step.weights.is_empty()) {
        let module = names.get(&*step.name).copied().unwrap_or(&step.name);
        let order = step.inputs.first().and_then(|&input| orders[input].clone());
        for (spec, (tensor, layout)) in step.weights.iter().zip(layouts(step, order)?) {
            let dims = |axes: &[usize]| axes.iter().map(|&axis| spec.shape[axis]).collect();
            tensors.push(Tensor {
                weight: format!("{}/{}", step.name, spec.name),
                name: format!("{module}.{tensor}"),
                shape: match &layout {
                    Layout::Conv => dims(&[3, 2, 0, 1]),
                    Layout::Depthwise(c) => {
                        vec![c * spec.shape[3], 1, spec.shape[0], spec.shape[1]]
                    }
                    Layout::Linear(_) => dims(&[1, 0]),
                    Layout::Vector(_) => dims(&[0]),
                },
                layout,
            });
        }
    }
    Ok(tensors)
}

/// The tensors of a layer, in the order of its weights here; its input lies there in this order.
fn layouts(step: &Step, order: Order) -> Result<Vec<(&'static str, Layout)>, String> {
    let layer = step.layer.as_deref().map(|layer| layer as &dyn Any);
    let is = |found: Option<bool>| found == Some(true);
    let plain = Layout::Vector(None);
    Ok(if is(layer.map(|layer| layer.is::<Conv2D>())) {
        vec![("weight", Layout::Conv), ("bias", plain)]
    } else if is(layer.map(|layer| layer.is::<DepthwiseConv2D>())) {
        vec![("weight", Layout::Depthwise(step.weights[0].shape[2])), ("bias", plain)]
    } else if is(layer.map(|layer| layer.is::<SeparableConv2D>())) {
        vec![
            ("depthwise.weight", Layout::Depthwise(step.weights[0].shape[2])),
            ("pointwise.weight", Layout::Conv),
            ("pointwise.bias", plain),
        ]
    } else if is(layer.map(|layer| layer.is::<Dense>())) {
        vec![("weight", Layout::Linear(order)), ("bias", plain)]
    } else if is(layer.map(|layer| layer.is::<BatchNormalization>())) {
        let vector = Layout::Vector(order);
        vec![
            ("weight", vector.clone()),
            ("bias", vector.clone()),
            ("running_mean", vector.clone()),
            ("running_var", vector),
        ]
    } else {
        return Err(format!(
            "`{}` is of class {}, whose weights have no like in PyTorch that is known here",
            step.name,
            step.class_name()
        ));
    })
}
