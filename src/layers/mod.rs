//! Layers: one file each, all in the same order. Start reading at `dense.rs`.
//!
//! A layer is its configuration. It owns no weights, gradients or caches: those belong to the model
//! and the pass, which hand them to it as slices.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::initializers::Initializer;
use crate::kernels::window::Window;
use crate::regularizers::Regularizer;
use crate::shape::Shape;

mod activation;
mod add;
mod average;
mod average_pooling2d;
mod batch_normalization;
#[cfg(test)]
mod check;
mod concatenate;
mod config;
mod conv2d;
mod dense;
mod depthwise_conv2d;
mod details;
mod dropout;
mod flatten;
mod global_average_pooling2d;
mod global_max_pooling2d;
#[cfg(test)]
mod keras;
mod lanes;
mod leaky_relu;
mod local_response_normalization;
mod max_pooling2d;
mod merge;
mod multiply;
mod pass;
mod random_erasing;
mod random_flip;
mod random_rotation;
mod random_transform;
mod random_translation;
mod relu;
mod rescaling;
mod reshape;
mod resizing;
mod separable_conv2d;
mod zero_padding2d;

pub use crate::kernels::affine::FillMode;
pub use crate::kernels::interpolate::Interpolation;
pub use crate::kernels::layout::Layout;
pub use crate::kernels::window::Padding;
pub use config::{Config, CustomObjects, config_of};
pub use details::Details;
pub(crate) use lanes::{FromLanes, ToLanes};
pub use pass::{Backward, Forward, Gradients, Infer, Inputs, Weights, WeightsMut};
pub use random_flip::FlipMode;
pub use random_transform::Bounds;

config::layers! {
    "Activation" = activation::Activation,
    "Add" = add::Add,
    "Average" = average::Average,
    "AveragePooling2D" = average_pooling2d::AveragePooling2D,
    "BatchNormalization" = batch_normalization::BatchNormalization,
    "Concatenate" = concatenate::Concatenate,
    "Conv2D" = conv2d::Conv2D,
    "Dense" = dense::Dense,
    "DepthwiseConv2D" = depthwise_conv2d::DepthwiseConv2D,
    "Dropout" = dropout::Dropout,
    "Flatten" = flatten::Flatten,
    "GlobalAveragePooling2D" = global_average_pooling2d::GlobalAveragePooling2D,
    "GlobalMaxPooling2D" = global_max_pooling2d::GlobalMaxPool2D,
    "LeakyReLU" = leaky_relu::LeakyReLU,
    "LocalResponseNormalization" = local_response_normalization::LocalResponseNormalization,
    "MaxPooling2D" = max_pooling2d::MaxPool2D,
    "Multiply" = multiply::Multiply,
    "RandomErasing" = random_erasing::RandomErasing,
    "RandomFlip" = random_flip::RandomFlip,
    "RandomRotation" = random_rotation::RandomRotation,
    "RandomTranslation" = random_translation::RandomTranslation,
    "ReLU" = relu::ReLU,
    "Rescaling" = rescaling::Rescaling,
    "Reshape" = reshape::Reshape,
    "Resizing" = resizing::Resizing,
    "SeparableConv2D" = separable_conv2d::SeparableConv2D,
    "ZeroPadding2D" = zero_padding2d::ZeroPadding2D,
}

/// What every layer does, in the crate or outside it. `examples/own_layer.rs` writes one.
pub trait Layer: Any + fmt::Debug + Send + Sync {
    /// The name of the class as `summary` prints it, in Keras' spelling: `MaxPooling2D`.
    fn class_name(&self) -> &'static str;

    /// What the layer was given, for [`Model::save`](crate::Model::save). One that can be saved writes
    /// `config_of(self)`, see [`config_of`]; without it the model is refused there.
    fn config(&self) -> Result<Config, String> {
        Err("it does not write its `config`; write it as config_of(self)".to_string())
    }

    /// The shape of the output for inputs of these shapes, or why the layer cannot take them, as
    /// the end of a sentence that begins with the layer and the shapes. Judges the configuration
    /// too: constructors never fail.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// The weights the layer wants, in Keras' order.
    fn weights(&self, _inputs: &[Shape]) -> Vec<WeightSpec> {
        Vec::new()
    }

    /// Whether it can work with samples in lanes, see [`Layout`]. Without a word of the layer it only
    /// ever sees rows.
    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Never
    }

    /// Whether each sample's output comes from that sample alone, so that a batch may be cut into
    /// parts. A layer that does not say so always sees the whole batch, as batch normalisation must.
    fn is_per_sample(&self) -> bool {
        false
    }

    /// Whether its output is its only input, the same numbers in the same order. Then the layers
    /// behind it read what it would have read, and it runs only as an output of the model.
    fn is_identity(&self) -> bool {
        false
    }

    /// How many floats `forward` leaves for `backward`, for `n` samples in a layout.
    fn saved_len(&self, _inputs: &[Shape], _n: usize, _layout: Layout) -> usize {
        0
    }

    /// How many floats of scratch `backward` works in, for `n` samples in a layout.
    fn scratch_len(&self, _inputs: &[Shape], _n: usize, _layout: Layout) -> usize {
        0
    }

    /// Inference: writes `y`.
    fn infer(&self, pass: Infer<'_>);

    /// The forward pass of training: writes `y` and what `backward` needs. The same as inference
    /// unless the layer says otherwise.
    fn forward(&self, mut pass: Forward<'_>) {
        self.infer(pass.as_infer());
    }

    /// The backward pass: writes `dw`, and `dx` where it is wanted.
    fn backward(&self, pass: Backward<'_>);

    /// The activation the layer ends with and the layer without it, so that a loss can pair with
    /// the activation: softmax with cross-entropy.
    fn without_activation(&self) -> Option<(Activation, Arc<dyn Layer>)> {
        None
    }

    /// The layer with ReLU behind it, in one: a ReLU that follows it then takes no pass of its own.
    fn with_relu_behind(&self) -> Option<Arc<dyn Layer>> {
        None
    }

    /// Whether ReLU before it is the same as ReLU behind it: of max-pooling it is, and less work.
    fn commutes_with_relu(&self) -> bool {
        false
    }

    /// The layer whose training is this one's inference, where the two differ: what gradients in inference
    /// go through. Batch normalisation need not say so, since it does that where it is not trainable.
    fn at_inference(&self) -> Option<Arc<dyn Layer>> {
        None
    }

    /// How the layer is set and how the size of its output comes about, in words, for
    /// [`Model::explain`](crate::Model::explain).
    fn details(&self, _inputs: &[Shape]) -> Details {
        Details::default()
    }

    /// The layer under a name of your own; without one it is called after its class, as Keras does:
    /// `conv2d`, `conv2d_1`.
    fn name(self, name: impl Into<String>) -> LayerSpec
    where
        Self: Sized + 'static,
    {
        LayerSpec::from(self).name(name)
    }

    /// The layer with its weights fixed, or not; `true`. Those of a layer that is not trainable stay as
    /// they are: no gradients to them are computed, and batch normalisation then uses its moving
    /// statistics in training too, and leaves them as they are. See also
    /// [`Model::trainable`](crate::Model::trainable).
    fn trainable(self, trainable: bool) -> LayerSpec
    where
        Self: Sized + 'static,
    {
        LayerSpec::from(self).trainable(trainable)
    }
}

/// What a layer makes of samples in lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// It takes rows only.
    Never,
    /// It takes its inputs as they come.
    Either,
    /// It is faster with them.
    Faster,
}

/// A weight that a layer wants.
#[derive(Clone, Debug)]
pub struct WeightSpec {
    /// Its name within the layer, in Keras' spelling: `kernel`, `bias`, `gamma`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// How it starts.
    pub initializer: Initializer,
    /// Whether the optimizer moves it. Those it does not move reach the layer as `state`.
    pub trainable: bool,
    /// What it adds to the loss, if the optimizer moves it.
    pub regularizer: Option<Regularizer>,
}

impl WeightSpec {
    /// A weight that the optimizer moves.
    pub fn trainable(
        name: &'static str,
        shape: impl Into<Shape>,
        initializer: Initializer,
    ) -> Self {
        Self { name, shape: shape.into(), initializer, trainable: true, regularizer: None }
    }

    /// What makes no sense in it, as the end of a sentence that begins with the weight.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.initializer.check()?;
        self.regularizer.map_or(Ok(()), Regularizer::check)
    }

    /// A weight that the optimizer does not move.
    pub fn frozen(name: &'static str, shape: impl Into<Shape>, initializer: Initializer) -> Self {
        Self { trainable: false, ..Self::trainable(name, shape, initializer) }
    }

    /// The weight with what it adds to the loss; nothing.
    pub fn regularizer(self, regularizer: Option<Regularizer>) -> Self {
        Self { regularizer, ..self }
    }
}

/// A layer with the name it will have in the model, and whether it is trained; any layer turns into
/// one.
///
/// ```
/// use convnet::prelude::*;
///
/// let x = Input::new(3).apply(Dense::new(2).name("features").trainable(false))?;
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerSpec {
    pub(crate) layer: Arc<dyn Layer>,
    pub(crate) name: Option<String>,
    pub(crate) trainable: bool,
}

impl LayerSpec {
    /// Under a name of your own, see [`Layer::name`].
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// With its weights fixed, or not, see [`Layer::trainable`].
    pub fn trainable(self, trainable: bool) -> Self {
        Self { trainable, ..self }
    }
}

impl<L: Layer + 'static> From<L> for LayerSpec {
    fn from(layer: L) -> Self {
        Self { layer: Arc::new(layer), name: None, trainable: true }
    }
}

impl From<Box<dyn Layer>> for LayerSpec {
    fn from(layer: Box<dyn Layer>) -> Self {
        Self { layer: layer.into(), name: None, trainable: true }
    }
}

/// Height and width of a kernel, a window or a step: made from one number for both, or from a pair.
///
/// ```
/// use convnet::layers::Pair;
///
/// assert_eq!(Pair::from(3), Pair([3, 3]));
/// assert_eq!(Pair::from((3, 5)), Pair([3, 5]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair(pub [usize; 2]);

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Self([both, both])
    }
}

impl From<(usize, usize)> for Pair {
    fn from((height, width): (usize, usize)) -> Self {
        Self([height, width])
    }
}

impl From<[usize; 2]> for Pair {
    fn from(pair: [usize; 2]) -> Self {
        Self(pair)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.0[0], self.0[1])
    }
}

/// Rows above and below an image and columns to its left and right: made from one number for every
/// side, from (above and below, left and right), or from ((above, below), (left, right)).
///
/// ```
/// use convnet::layers::Margins;
///
/// assert_eq!(Margins::from(3), Margins([[3, 3], [3, 3]]));
/// assert_eq!(Margins::from((1, 2)), Margins([[1, 1], [2, 2]]));
/// assert_eq!(Margins::from(((0, 1), (2, 3))), Margins([[0, 1], [2, 3]]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Margins(pub [[usize; 2]; 2]);

impl From<usize> for Margins {
    fn from(all: usize) -> Self {
        Self([[all; 2]; 2])
    }
}

impl From<(usize, usize)> for Margins {
    fn from((vertical, horizontal): (usize, usize)) -> Self {
        Self([[vertical; 2], [horizontal; 2]])
    }
}

impl From<((usize, usize), (usize, usize))> for Margins {
    fn from((vertical, horizontal): ((usize, usize), (usize, usize))) -> Self {
        Self([vertical.into(), horizontal.into()])
    }
}

/// The longest stride that is taken as it is on an image that is smaller.
const LONGEST_STRIDE: usize = 1 << 16;

/// How a kernel or a pool, called `what`, of a size, with strides and a dilation, moves over an image of
/// this height and width.
fn window(
    image: [usize; 2],
    what: &str,
    [size, strides, dilation]: [Pair; 3],
    padding: Padding,
) -> Result<Window, String> {
    let dilated = dilation != Pair([1, 1]);
    for (what, verb, sizes) in
        [(what, "is", size), ("strides", "are", strides), ("dilation_rate", "is", dilation)]
    {
        if sizes.0.contains(&0) {
            return Err(format!("its {what} {verb} {sizes}; every size is at least 1"));
        }
    }
    if dilated && strides != Pair([1, 1]) {
        return Err(format!(
            "its strides are {strides} and its dilation_rate is {dilation}; one of them has to be 1"
        ));
    }
    // From the image on all strides do the same; of the longest no product fits a number.
    let strides = [0, 1].map(|axis| strides.0[axis].min(image[axis].max(LONGEST_STRIDE)));
    Window::new(image, size.0, strides, dilation.0, padding).ok_or_else(|| {
        let dilation =
            if dilated { format!(" with dilation_rate {dilation}") } else { String::new() };
        format!("a {size} {what}{dilation} does not fit; use padding(Same) or a smaller {what}")
    })
}

/// How a pool moves over the only input, and that image's channels.
fn pool(
    inputs: &[Shape],
    size: Pair,
    strides: Pair,
    padding: Padding,
) -> Result<(Window, usize), String> {
    let [h, w, c] = image(inputs)?;
    let window = window([h, w], "pool", [size, strides, 1.into()], padding)?;
    Ok((window, c))
}

/// The only window of a pool over the whole of an image that `output_shape` has accepted, and the
/// image's channels.
fn whole_image(inputs: &[Shape]) -> (Window, usize) {
    let [h, w, c] = image(inputs).unwrap_or_else(|why| panic!("a global pool: {why}"));
    let window = Window::new([h, w], [h, w], [1, 1], [1, 1], Padding::Valid);
    (window.expect("an image fits on itself"), c)
}

/// The only input, for layers that take one.
fn single(inputs: &[Shape]) -> Result<&Shape, String> {
    match inputs {
        [input] => Ok(input),
        _ => Err(format!(
            "it takes one input, got {}; join them with Add or Concatenate first",
            inputs.len()
        )),
    }
}

/// The only input as (height, width, channels).
fn image(inputs: &[Shape]) -> Result<[usize; 3], String> {
    single(inputs)?.dims().ok_or_else(|| {
        "it wants images of (height, width, channels); give the Input three sizes, or use Reshape"
            .to_string()
    })
}

/// The size of the last axis: the channels of an image, what softmax goes over.
fn last(shape: &Shape) -> usize {
    shape.last().copied().unwrap_or(1)
}

/// Keras' automatic name of a class: `Conv2D` becomes `conv2d`, `MaxPooling2D` `max_pooling2d`.
pub(crate) fn snake_case(class: &str) -> String {
    let chars: Vec<char> = class.chars().collect();
    let mut name = String::with_capacity(class.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(i + 1);
        let starts_word = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase() || (after.is_some_and(|a| a.is_lowercase()) && b.is_alphanumeric())
            });
        if starts_word {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_are_keras() {
        for (class, name) in [
            ("InputLayer", "input_layer"),
            ("Conv2D", "conv2d"),
            ("MaxPooling2D", "max_pooling2d"),
            ("AveragePooling2D", "average_pooling2d"),
            ("BatchNormalization", "batch_normalization"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("Dense", "dense"),
            ("ReLU", "re_lu"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
