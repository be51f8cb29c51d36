//! The summary with its arithmetic, in words.

use std::fmt;

use super::Model;
use super::network::{Network, Step};
use crate::layers::Details;
use crate::words::thousands;

/// What [`Model::explain`] found; `Display` is a paragraph for each layer.
#[derive(Clone, Debug)]
pub struct Explanation {
    paragraphs: Vec<Paragraph>,
}

#[derive(Clone, Debug)]
struct Paragraph {
    /// Name and class, and the shapes of inputs and output.
    title: String,
    details: Details,
    /// What the weights have, one after the other; none for a layer without.
    params: Option<String>,
    count: usize,
}

impl Model {
    /// The layers as in [`summary`](Model::summary), each with how it is set and with the arithmetic of its
    /// output's size and of its number of weights.
    ///
    /// ```
    /// use convnet::prelude::*;
    ///
    /// let image = Input::new([28, 28, 1]);
    /// let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    /// let text = model.explain().to_string();
    /// assert!(text.contains("height and width: (28 + 2·2 − 5)/1 + 1 = 28"));
    /// assert!(text.contains("params: kernel 5·5·1·6 + bias 6 = 156"));
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn explain(&self) -> Explanation {
        let steps = &self.network.steps;
        let paragraph = |step: &Step| Paragraph {
            title: title(&self.network, step),
            details: step.details(),
            params: params(step),
            count: step.count_params(),
        };
        Explanation { paragraphs: steps.iter().map(paragraph).collect() }
    }
}

impl Step {
    pub(crate) fn details(&self) -> Details {
        let layer = self.layer.as_ref();
        layer.map_or_else(Details::default, |layer| layer.details(&self.input_shapes))
    }
}

fn title(network: &Network, step: &Step) -> String {
    let inputs = step.inputs.iter().map(|&input| {
        let Step { name, shape, .. } = &network.steps[input];
        if step.inputs.len() == 1 { shape.to_string() } else { format!("{name} {shape}") }
    });
    let inputs = inputs.collect::<Vec<_>>().join(", ");
    let arrow = if inputs.is_empty() { "" } else { " → " };
    format!("{} ({}): {inputs}{arrow}{}", step.name, step.class_name(), step.shape)
}

/// `kernel 5·5·1·6 + bias 6 = 156`.
pub(crate) fn params(step: &Step) -> Option<String> {
    let terms = step.weights.iter().map(|weight| {
        let factors: Vec<String> = weight.shape.iter().map(usize::to_string).collect();
        format!("{} {}", weight.name, factors.join("·"))
    });
    let terms: Vec<String> = terms.collect();
    (!terms.is_empty())
        .then(|| format!("{} = {}", terms.join(" + "), thousands(step.count_params())))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Paragraph { title, details, params, .. } in &self.paragraphs {
            writeln!(f, "{title}")?;
            if !details.settings.is_empty() {
                writeln!(f, "    {}", details.settings.join(", "))?;
            }
            for line in &details.size {
                writeln!(f, "    {line}")?;
            }
            if let Some(params) = params {
                writeln!(f, "    params: {params}")?;
            }
        }
        let counts = || self.paragraphs.iter().map(|p| p.count).filter(|&count| count > 0);
        let terms: Vec<String> = counts().map(thousands).collect();
        let total = thousands(counts().sum());
        match terms.len() {
            0 | 1 => write!(f, "Total params: {total}"),
            _ => write!(f, "Total params: {} = {total}", terms.join(" + ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Input, Node, Nodes};
    use crate::layers::*;
    use crate::model::Model;
    use crate::models;

    #[test]
    fn a_chain_reads_from_top_to_bottom() {
        let image = Input::new([28, 28, 1]);
        let model = Model::new(&image, models::lenet5(&image, 10).unwrap()).unwrap();
        let text = model.explain().to_string();
        let wanted = "\
input_layer (InputLayer): (28, 28, 1)
conv2d (Conv2D): (28, 28, 1) → (28, 28, 6)
    6 filters of 5×5, strides 1×1, padding same, activation relu
    height and width: (28 + 2·2 − 5)/1 + 1 = 28
    channels: 6 filters
    params: kernel 5·5·1·6 + bias 6 = 156
";
        assert!(text.starts_with(wanted), "{text}");
        let end = "\nTotal params: 156 + 2,416 + 48,120 + 10,164 + 850 = 61,706";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn every_layer_has_its_arithmetic() {
        let image = Input::new([9, 8, 4]);
        let of = |make: &dyn Fn(&Input) -> Node| {
            let model = Model::new(&image, make(&image)).unwrap();
            let text = model.explain().to_string();
            text.lines().skip(2).map(str::to_string).collect::<Vec<_>>().join("\n")
        };
        let layer = |layer: LayerSpec| of(&|x| x.apply(layer.clone()).unwrap());
        for (found, wanted) in [
            (
                layer(DepthwiseConv2D::new(3).depth_multiplier(2).use_bias(false).into()),
                "    2 filters of 3×3 a channel, strides 1×1, padding valid\n    \
                 height: (9 − 3)/1 + 1 = 7\n    width: (8 − 3)/1 + 1 = 6\n    channels: 4·2 = 8\n    \
                 params: kernel 3·3·4·2 = 72\nTotal params: 72",
            ),
            (
                layer(DepthwiseConv2D::new(3).use_bias(false).into()),
                "    1 filter of 3×3 a channel, strides 1×1, padding valid\n    \
                 height: (9 − 3)/1 + 1 = 7\n    width: (8 − 3)/1 + 1 = 6\n    channels: 4·1 = 4\n    \
                 params: kernel 3·3·4·1 = 36\nTotal params: 36",
            ),
            (
                layer(SeparableConv2D::new(5, 3).depth_multiplier(2).padding(Padding::Same).into()),
                "    2 filters of 3×3 a channel, strides 1×1, padding same, then 5 filters of 1×1\n    \
                 height: (9 + 2·1 − 3)/1 + 1 = 9\n    width: (8 + 2·1 − 3)/1 + 1 = 8\n    \
                 channels: 4·2 = 8, then 5 filters\n    \
                 params: depthwise_kernel 3·3·4·2 + pointwise_kernel 1·1·8·5 + bias 5 = 117\n\
                 Total params: 117",
            ),
            (
                layer(Conv2D::new(4, 3).groups(2).dilation_rate(2).into()),
                "    4 filters of 3×3, strides 1×1, padding valid, dilation_rate 2×2, groups 2\n    \
                 height: (9 − ((3 − 1)·2 + 1))/1 + 1 = 5\n    \
                 width: (8 − ((3 − 1)·2 + 1))/1 + 1 = 4\n    channels: 4 filters\n    \
                 params: kernel 3·3·2·4 + bias 4 = 76\nTotal params: 76",
            ),
            (
                layer(MaxPool2D::new(2).into()),
                "    pools of 2×2, strides 2×2, padding valid\n    \
                 height: ⌊(9 − 2)/2⌋ + 1 = 4\n    width: (8 − 2)/2 + 1 = 4\n    \
                 channels: 4, each pooled alone\nTotal params: 0",
            ),
            (
                layer(GlobalAveragePooling2D::new().into()),
                "    channels: 4, of each the mean of 9·8 = 72\nTotal params: 0",
            ),
            (
                layer(Dense::new(6).into()),
                "    6 units\n    units: 6, each of 4 inputs\n    params: kernel 4·6 + bias 6 = 30\n\
                 Total params: 30",
            ),
            (layer(Flatten::new().into()), "    9·8·4 = 288\nTotal params: 0"),
            (layer(Reshape::new([36, -1]).into()), "    9·8·4 = 288 = 36·8\nTotal params: 0"),
            (
                layer(ZeroPadding2D::new(((1, 0), (2, 3))).into()),
                "    padding 1 above, 0 below, 2 left, 3 right\n    height: 1 + 9 + 0 = 10\n    \
                 width: 2 + 8 + 3 = 13\nTotal params: 0",
            ),
            (
                layer(BatchNormalization::new().into()),
                "    momentum 0.99, epsilon 0.001\n    \
                 params: gamma 4 + beta 4 + moving_mean 4 + moving_variance 4 = 16\n\
                 Total params: 16",
            ),
            (layer(Dropout::new(0.25).into()), "    rate 0.25, in training only\nTotal params: 0"),
            (
                of(&|x| [x, x].apply(Concatenate::new()).unwrap()),
                "    last axis: 4 + 4 = 8\nTotal params: 0",
            ),
            (
                of(&|x| [x, x].apply(Add::new()).unwrap()),
                "    the sum of 2 inputs\nTotal params: 0",
            ),
            (
                of(&|x| [x, x, x].apply(Average::new()).unwrap()),
                "    the mean of 3 inputs\nTotal params: 0",
            ),
            (
                of(&|x| [x, x].apply(Multiply::new()).unwrap()),
                "    the product of 2 inputs\nTotal params: 0",
            ),
            (layer(Activation::LeakyRelu.into()), "    activation leaky_relu\nTotal params: 0"),
            (layer(LeakyReLU::new().into()), "    negative_slope 0.3\nTotal params: 0"),
            (
                layer(LocalResponseNormalization::new().into()),
                "    n 5, k 2, alpha 0.0001, beta 0.75\nTotal params: 0",
            ),
            (layer(Rescaling::new(0.5).offset(-1.0).into()), "    x · 0.5 + -1\nTotal params: 0"),
            (
                layer(Resizing::new(5, 6).into()),
                "    interpolation bilinear\n    height and width: 9×8 resized to 5×6\n\
                 Total params: 0",
            ),
            (
                layer(AveragePooling2D::new((3, 2)).into()),
                "    pools of 3×2, strides 3×2, padding valid\n    \
                 height: (9 − 3)/3 + 1 = 3\n    width: (8 − 2)/2 + 1 = 4\n    \
                 channels: 4, each pooled alone\nTotal params: 0",
            ),
            (
                layer(GlobalMaxPool2D::new().into()),
                "    channels: 4, of each the largest of 9·8 = 72\nTotal params: 0",
            ),
            (
                layer(RandomFlip::new().into()),
                "    mode horizontal_and_vertical, in training only\nTotal params: 0",
            ),
            (
                layer(RandomErasing::new().into()),
                "    factor 1, scale 0.02 to 0.33, fill_value noise, value_range 0 to 255, in training \
                 only\nTotal params: 0",
            ),
            (
                layer(RandomRotation::new(0.1).fill_mode(FillMode::Constant).into()),
                "    factor 0.1, fill_mode constant, fill_value 0, interpolation bilinear, in training only\n\
                 Total params: 0",
            ),
            (
                layer(RandomTranslation::new(0.1, (0.0, 0.2)).into()),
                "    height_factor 0.1, width_factor 0 to 0.2, fill_mode reflect, interpolation \
                 bilinear, in training only\nTotal params: 0",
            ),
        ] {
            assert_eq!(found, wanted);
        }
    }
}
