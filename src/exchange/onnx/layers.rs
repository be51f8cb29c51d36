//! The layers that ONNX has a like of, and what it is.

use std::any::Any;

use super::graph::{Axes, Value, Writer, float, int, ints, text, whole};
use super::proto::AttributeProto;
use crate::exchange::channels_first;
use crate::kernels::window::Window;
use crate::layers::{
    Activation, Add, Average, AveragePooling2D, BatchNormalization, Concatenate, Conv2D, Dense,
    DepthwiseConv2D, Flatten, GlobalAveragePooling2D, GlobalMaxPool2D, Interpolation, Layer,
    LeakyReLU, LocalResponseNormalization, Margins, MaxPool2D, Multiply, ReLU, Rescaling, Reshape,
    Resizing, SeparableConv2D, ZeroPadding2D,
};

/// A layer that ONNX has a like of.
trait Like: Any {
    /// Writes its nodes; gives their output, or why there is none, as the end of a sentence that
    /// begins with the layer.
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String>;
}

/// Writes the nodes of any layer that is in the table.
pub(super) fn write(layer: &dyn Layer, to: &mut Writer<'_>) -> Result<Value, String> {
    // Dropout and what else draws in training.
    let same = layer.at_inference();
    let layer = same.as_deref().unwrap_or(layer);
    macro_rules! table {
        ($($class:ty),* $(,)?) => {$(
            if let Some(layer) = (layer as &dyn Any).downcast_ref::<$class>() {
                return layer.write(to);
            }
        )*};
    }
    table!(
        Activation,
        Add,
        Average,
        AveragePooling2D,
        BatchNormalization,
        Concatenate,
        Conv2D,
        Dense,
        DepthwiseConv2D,
        Flatten,
        GlobalAveragePooling2D,
        GlobalMaxPool2D,
        LeakyReLU,
        LocalResponseNormalization,
        MaxPool2D,
        Multiply,
        ReLU,
        Rescaling,
        Reshape,
        Resizing,
        SeparableConv2D,
        ZeroPadding2D,
    );
    Err("has no like in ONNX that is known here; leave it out of the model that is exported"
        .to_string())
}

impl Like for Activation {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let x = to.single();
        activation(*self, x, to)
    }
}

/// An activation behind a value.
fn activation(
    activation: Activation,
    Value { name: x, axes }: Value,
    to: &mut Writer<'_>,
) -> Result<Value, String> {
    let name = match activation {
        Activation::Linear => x,
        Activation::Relu => to.node("Relu", [&x], vec![]),
        Activation::Softmax => {
            let axis = int("axis", channel_axis(axes));
            to.node("Softmax", [&x], vec![axis])
        }
        Activation::Tanh => to.node("Tanh", [&x], vec![]),
        Activation::Sigmoid => to.node("Sigmoid", [&x], vec![]),
        Activation::LeakyRelu => to.node("LeakyRelu", [&x], vec![float("alpha", 0.2)]),
        Activation::Relu6 => {
            let [least, most] = [to.scalar("least", 0.0)?, to.scalar("most", 6.0)?];
            to.node("Clip", [&x, &least, &most], vec![])
        }
        Activation::Elu => to.node("Elu", [&x], vec![float("alpha", 1.0)]),
        Activation::Gelu => gelu(&x, to)?,
        Activation::GeluApproximate => gelu_approximate(&x, to)?,
        Activation::Silu => {
            let sigmoid = to.node("Sigmoid", [&x], vec![]);
            to.node("Mul", [&x, &sigmoid], vec![])
        }
    };
    Ok(Value { name, axes })
}

/// `x · (1 + erf(x/√2)) / 2`; the operator of that name came with opset 20.
fn gelu(x: &String, to: &mut Writer<'_>) -> Result<String, String> {
    let [scale, one, half] = [
        to.scalar("scale", std::f32::consts::FRAC_1_SQRT_2)?,
        to.scalar("one", 1.0)?,
        to.scalar("half", 0.5)?,
    ];
    let scaled = to.node("Mul", [x, &scale], vec![]);
    let erf = to.node("Erf", [&scaled], vec![]);
    let sum = to.node("Add", [&erf, &one], vec![]);
    let product = to.node("Mul", [x, &sum], vec![]);
    Ok(to.node("Mul", [&product, &half], vec![]))
}

/// `x · sigmoid(2 √(2/π) · (x + 0.044715 x³))`: `(1 + tanh(u))/2` is `sigmoid(2u)`.
fn gelu_approximate(x: &String, to: &mut Writer<'_>) -> Result<String, String> {
    let linear = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
    let [linear, cubic] =
        [to.scalar("linear", linear as f32)?, to.scalar("cubic", (linear * 0.044_715) as f32)?];
    let square = to.node("Mul", [x, x], vec![]);
    let scaled = to.node("Mul", [&square, &cubic], vec![]);
    let slope = to.node("Add", [&scaled, &linear], vec![]);
    let inner = to.node("Mul", [x, &slope], vec![]);
    let sigmoid = to.node("Sigmoid", [&inner], vec![]);
    Ok(to.node("Mul", [x, &sigmoid], vec![]))
}

impl Like for ReLU {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let Value { name: x, axes } = to.single();
        let [threshold, slope] = [self.threshold, self.negative_slope].map(|number| number as f32);
        let upper = match self.max_value {
            None if threshold == 0.0 && slope == 0.0 => {
                return activation(Activation::Relu, Value { name: x, axes }, to);
            }
            None => x.clone(),
            Some(most) => {
                let most = to.scalar("most", most as f32)?;
                to.node("Min", [&x, &most], vec![])
            }
        };
        let [threshold, slope] = [to.scalar("threshold", threshold)?, to.scalar("slope", slope)?];
        let beyond = to.node("Sub", [&x, &threshold], vec![]);
        let lower = to.node("Mul", [&beyond, &slope], vec![]);
        let above = to.node("Greater", [&x, &threshold], vec![]);
        let name = to.node("Where", [&above, &upper, &lower], vec![]);
        Ok(Value { name, axes })
    }
}

impl Like for LeakyReLU {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let Value { name: x, axes } = to.single();
        let alpha = float("alpha", self.negative_slope as f32);
        let name = to.node("LeakyRelu", [&x], vec![alpha]);
        Ok(Value { name, axes })
    }
}

/// Layers that merge inputs of one shape element by element.
macro_rules! merge {
    ($($class:ty: $operator:literal),*) => {$(
        impl Like for $class {
            fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
                let (inputs, axes) = to.inputs();
                let name = to.node($operator, &inputs, vec![]);
                Ok(Value { name, axes })
            }
        }
    )*};
}
merge!(Add: "Sum", Average: "Mean");

impl Like for Multiply {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let (inputs, axes) = to.inputs();
        let mut product = inputs[0].clone();
        for input in &inputs[1..] {
            product = to.node("Mul", [&product, input], vec![]);
        }
        Ok(Value { name: product, axes })
    }
}

impl Like for Concatenate {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let (inputs, axes) = to.inputs();
        let name = to.node("Concat", &inputs, vec![int("axis", channel_axis(axes))]);
        Ok(Value { name, axes })
    }
}

impl Like for Conv2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let geometry = self.accepted(to.input_shapes());
        let x = to.input(0, Axes::First);
        let kernel = to.weight("kernel").ok_or("has no kernel")?;
        let kernel = to.floats("kernel", &channels_first::conv(kernel))?;
        let y = conv(x, kernel, bias(to)?, &geometry.conv.window, geometry.groups, to)?;
        activation(self.activation, y, to)
    }
}

impl Like for DepthwiseConv2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let geometry = self.accepted(to.input_shapes());
        let x = to.input(0, Axes::First);
        let kernel = to.weight("kernel").ok_or("has no kernel")?;
        let kernel = to.floats("kernel", &channels_first::depthwise(kernel))?;
        let y = conv(x, kernel, bias(to)?, &geometry.window, geometry.channels, to)?;
        activation(self.activation, y, to)
    }
}

impl Like for SeparableConv2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let (depthwise, pointwise) = self.accepted(to.input_shapes());
        let x = to.input(0, Axes::First);
        let kernel = to.weight("depthwise_kernel").ok_or("has no depthwise kernel")?;
        let kernel = to.floats("depthwise_kernel", &channels_first::depthwise(kernel))?;
        let between = conv(x, kernel, None, &depthwise.window, depthwise.channels, to)?;
        let kernel = to.weight("pointwise_kernel").ok_or("has no pointwise kernel")?;
        let kernel = to.floats("pointwise_kernel", &channels_first::conv(kernel))?;
        let y = conv(between.name, kernel, bias(to)?, &pointwise.window, 1, to)?;
        activation(self.activation, y, to)
    }
}

fn conv(
    x: String,
    kernel: String,
    bias: Option<String>,
    window: &Window,
    groups: usize,
    to: &mut Writer<'_>,
) -> Result<Value, String> {
    let inputs = [Some(x), Some(kernel), bias];
    let mut attributes = window_attributes(window)?;
    attributes.push(pair("dilations", window.dilation)?);
    attributes.push(int("group", whole(groups)?));
    let name = to.node("Conv", inputs.iter().flatten(), attributes);
    Ok(Value { name, axes: Axes::First })
}

/// The bias of a layer, if it has one.
fn bias(to: &mut Writer<'_>) -> Result<Option<String>, String> {
    to.weight("bias").map(|bias| to.floats("bias", &bias.to_owned())).transpose()
}

impl Like for Dense {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let kernel = to.weight("kernel").ok_or("has no kernel")?;
        let kernel = to.floats("kernel", &kernel.to_owned())?;
        let bias = bias(to)?;
        let x = to.input(0, Axes::Last);
        let name = if to.input_shapes()[0].len() == 1 {
            to.node("Gemm", [Some(x), Some(kernel), bias].iter().flatten(), vec![])
        } else {
            let product = to.node("MatMul", [&x, &kernel], vec![]);
            match bias {
                Some(bias) => to.node("Add", [&product, &bias], vec![]),
                None => product,
            }
        };
        activation(self.activation, Value { name, axes: Axes::Last }, to)
    }
}

impl Like for MaxPool2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let (window, _) = self.accepted(to.input_shapes());
        let x = to.input(0, Axes::First);
        let name = to.node("MaxPool", [&x], window_attributes(&window)?);
        Ok(Value { name, axes: Axes::First })
    }
}

impl Like for AveragePooling2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let (window, _) = self.accepted(to.input_shapes());
        let x = to.input(0, Axes::First);
        let mut attributes = window_attributes(&window)?;
        attributes.push(int("count_include_pad", 0));
        let name = to.node("AveragePool", [&x], attributes);
        Ok(Value { name, axes: Axes::First })
    }
}

impl Like for GlobalAveragePooling2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        global("GlobalAveragePool", self.keepdims, to)
    }
}

impl Like for GlobalMaxPool2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        global("GlobalMaxPool", self.keepdims, to)
    }
}

fn global(operator: &str, keepdims: bool, to: &mut Writer<'_>) -> Result<Value, String> {
    let x = to.input(0, Axes::First);
    let pooled = to.node(operator, [&x], vec![]);
    if keepdims {
        return Ok(Value { name: pooled, axes: Axes::First });
    }
    let name = to.node("Flatten", [&pooled], vec![int("axis", 1)]);
    Ok(Value { name, axes: Axes::Last })
}

impl Like for BatchNormalization {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let mut inputs = vec![to.input(0, Axes::First)];
        for name in ["gamma", "beta", "moving_mean", "moving_variance"] {
            let weight = to.weight(name).ok_or_else(|| format!("has no {name}"))?;
            inputs.push(to.floats(name, &weight.to_owned())?);
        }
        let epsilon = float("epsilon", self.epsilon as f32);
        let name = to.node("BatchNormalization", &inputs, vec![epsilon]);
        Ok(Value { name, axes: Axes::First })
    }
}

impl Like for LocalResponseNormalization {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let [input] = to.input_shapes() else { return Err("has several inputs".to_string()) };
        if input.len() != 3 {
            return Err(format!("is applied to {input}; ONNX's LRN takes images only"));
        }
        let x = to.input(0, Axes::First);
        // ONNX divides by the count what it multiplies the sum with.
        let attributes = vec![
            int("size", whole(self.n)?),
            float("alpha", (self.alpha * self.n as f64) as f32),
            float("beta", self.beta as f32),
            float("bias", self.k as f32),
        ];
        let name = to.node("LRN", [&x], attributes);
        Ok(Value { name, axes: Axes::First })
    }
}

/// Both give the numbers of a sample another shape.
macro_rules! reshape {
    ($($class:ty),*) => {$(
        impl Like for $class {
            fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
                let x = to.input(0, Axes::Last);
                let mut shape = vec![-1];
                for &size in &**to.output_shape() {
                    shape.push(whole(size)?);
                }
                let shape = to.whole("shape", &shape)?;
                let name = to.node("Reshape", [&x, &shape], vec![]);
                Ok(Value { name, axes: Axes::Last })
            }
        }
    )*};
}
reshape!(Flatten, Reshape);

impl Like for Rescaling {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let Value { name: x, axes } = to.single();
        let scale = to.scalar("scale", self.scale as f32)?;
        let scaled = to.node("Mul", [&x, &scale], vec![]);
        let offset = to.scalar("offset", self.offset as f32)?;
        let name = to.node("Add", [&scaled, &offset], vec![]);
        Ok(Value { name, axes })
    }
}

impl Like for Resizing {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let geometry = self.accepted(to.input_shapes());
        let mut y = to.input(0, Axes::First);
        match self.interpolation {
            Interpolation::Bilinear => {
                let [h, w] = geometry.output;
                let sizes = to.whole("sizes", &[whole(h)?, whole(w)?])?;
                // An empty name is an input that is left out.
                let inputs = [y, String::new(), String::new(), sizes];
                let attributes = vec![text("mode", "linear"), ints("axes", vec![2, 3])];
                y = to.node("Resize", &inputs, attributes);
            }
            // Programs round to the nearest in ways of their own, so the cells are written out.
            Interpolation::Nearest => {
                for (axis, name) in [(0, "rows"), (1, "columns")] {
                    let cells =
                        (0..geometry.output[axis]).map(|o| whole(geometry.nearest(axis, o)));
                    let cells = to.whole(name, &cells.collect::<Result<Vec<_>, _>>()?)?;
                    y = to.node("Gather", [&y, &cells], vec![int("axis", axis as i64 + 2)]);
                }
            }
        }
        Ok(Value { name: y, axes: Axes::First })
    }
}

impl Like for ZeroPadding2D {
    fn write(&self, to: &mut Writer<'_>) -> Result<Value, String> {
        let Margins([[top, bottom], [left, right]]) = self.padding;
        let [top, bottom, left, right] = [whole(top)?, whole(bottom)?, whole(left)?, whole(right)?];
        let x = to.input(0, Axes::First);
        let pads = to.whole("pads", &[0, 0, top, left, 0, 0, bottom, right])?;
        let name = to.node("Pad", [&x, &pads], vec![]);
        Ok(Value { name, axes: Axes::First })
    }
}

/// The axis of the channels, the first one being that of the samples.
fn channel_axis(axes: Axes) -> i64 {
    match axes {
        Axes::Last => -1,
        Axes::First => 1,
    }
}

fn pair(name: &str, [down, right]: [usize; 2]) -> Result<AttributeProto, String> {
    Ok(ints(name, vec![whole(down)?, whole(right)?]))
}

/// Size, strides and padding; the latter written out, since ONNX has no word that is always the same
/// as Keras' `same`.
fn window_attributes(window: &Window) -> Result<Vec<AttributeProto>, String> {
    let [top, left] = window.before;
    let pads = [top, left, window.behind(0), window.behind(1)];
    let pads = pads.into_iter().map(whole).collect::<Result<_, _>>()?;
    Ok(vec![
        pair("kernel_shape", window.kernel)?,
        pair("strides", window.strides)?,
        ints("pads", pads),
    ])
}
