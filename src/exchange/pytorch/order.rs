//! In which order the numbers of a flat vector lie in PyTorch, whose images have the channels first.

use std::any::Any;

use crate::layers::{
    Activation, Add, Average, BatchNormalization, Concatenate, Dense, Dropout, Flatten, Layer,
    LeakyReLU, Multiply, ReLU, Rescaling, Reshape,
};
use crate::model::{Network, Step};
use crate::shape::Shape;

/// For every number of a vector there, which one it is here; `None` where the order is the same.
pub(super) type Order = Option<Vec<usize>>;

/// The order of every step's output. Only vectors have one; images lie there as PyTorch has them.
pub(super) fn orders(network: &Network) -> Result<Vec<Order>, String> {
    let mut orders: Vec<Order> = Vec::with_capacity(network.steps.len());
    for step in &network.steps {
        let inputs: Vec<&Order> = step.inputs.iter().map(|&input| &orders[input]).collect();
        let order = match &step.layer {
            None => None,
            Some(layer) => after(&**layer, step, &inputs).ok_or_else(|| {
                format!(
                    "`{}` of class {} takes numbers in another order than in PyTorch, whose images \
                     have the channels first",
                    step.name,
                    layer.class_name()
                )
            })?,
        };
        orders.push(order);
    }
    Ok(orders)
}

/// The order behind a layer; `None` where it would not compute the same there.
fn after(layer: &dyn Layer, step: &Step, inputs: &[&Order]) -> Option<Order> {
    let layer: &dyn Any = layer;
    let first = || inputs.first().map(|&order| order.clone());
    let each_alone = layer.is::<Activation>()
        || layer.is::<BatchNormalization>()
        || layer.is::<Dropout>()
        || layer.is::<LeakyReLU>()
        || layer.is::<ReLU>()
        || layer.is::<Rescaling>();
    if each_alone {
        return first();
    }
    if layer.is::<Flatten>() || layer.is::<Reshape>() {
        let order = first()?.or_else(|| flat(&step.input_shapes[0]));
        return match step.shape.len() {
            0 | 1 => Some(order),
            _ => (order == flat(&step.shape)).then_some(None),
        };
    }
    if layer.is::<Dense>() {
        return Some(None);
    }
    if layer.is::<Add>() || layer.is::<Average>() || layer.is::<Multiply>() {
        let same = inputs.iter().all(|order| *order == inputs[0]);
        return if same { first() } else { None };
    }
    if layer.is::<Concatenate>() && step.shape.len() == 1 {
        return Some(joined(inputs, &step.input_shapes));
    }
    // Layers on images, and what is not known.
    inputs.iter().all(|order| order.is_none()).then_some(None)
}

/// The order of all numbers of an image, `(h, w, c)` here and `(c, h, w)` there.
fn flat(shape: &Shape) -> Order {
    let [pixels @ .., channels] = &**shape else { return None };
    let pixels: usize = pixels.iter().product();
    if pixels == 1 || *channels == 1 {
        return None;
    }
    let of_channel = |channel| (0..pixels).map(move |pixel| pixel * channels + channel);
    Some((0..*channels).flat_map(of_channel).collect())
}

/// The order of vectors one behind the other.
fn joined(orders: &[&Order], shapes: &[Shape]) -> Order {
    if orders.iter().all(|order| order.is_none()) {
        return None;
    }
    let mut joined = Vec::new();
    for (order, shape) in orders.iter().zip(shapes) {
        let start = joined.len();
        match order {
            Some(order) => joined.extend(order.iter().map(|place| start + place)),
            None => joined.extend(start..start + shape.size()),
        }
    }
    Some(joined)
}
