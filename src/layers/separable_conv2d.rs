use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Activation, Backward, Config, Details, Forward, Infer, Layer, Layout, Padding, Pair,
    WeightSpec, config_of, image,
};
use crate::initializers::Initializer;
use crate::kernels::buffer::with_scratch;
use crate::kernels::conv::Conv;
use crate::kernels::depthwise::Depthwise;
use crate::regularizers::Regularizer;
use crate::shape::Shape;
use crate::words::counted;

/// A convolution in two steps with far fewer weights: kernels slide over each channel by itself, then
/// every pixel's channels are mixed into filters (Chollet 2017). Keras: `SeparableConv2D`.
///
/// | tensor           | shape                                 | starts as      |
/// |------------------|---------------------------------------|----------------|
/// | input            | `(n, h, w, c)`                        |                |
/// | depthwise kernel | `(kh, kw, c, depth_multiplier)`       | Glorot uniform |
/// | pointwise kernel | `(1, 1, c·depth_multiplier, filters)` | Glorot uniform |
/// | bias             | `(filters)`                           | zeros          |
/// | output           | `(n, oh, ow, filters)`                |                |
///
/// The first step is that of [`DepthwiseConv2D`](super::DepthwiseConv2D) without bias and
/// activation.
///
/// # Errors
/// `apply` refuses inputs that are not images, kernels larger than the image unless padding is
/// `Same`, sizes of 0, and a dilation together with strides.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 32]);
/// let y = image.apply(SeparableConv2D::new(64, 3).padding(Same))?;
/// assert_eq!(y.shape().to_string(), "(28, 28, 64)");
/// assert_eq!(Model::new(&image, &y)?.count_params(), 3 * 3 * 32 + 32 * 64 + 64);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeparableConv2D {
    filters: usize,
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    dilation_rate: Pair,
    depth_multiplier: usize,
    pub(crate) activation: Activation,
    use_bias: bool,
    depthwise_initializer: Initializer,
    pointwise_initializer: Initializer,
    bias_initializer: Initializer,
    depthwise_regularizer: Option<Regularizer>,
    pointwise_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
}

impl SeparableConv2D {
    /// This many filters behind kernels of a size: a number for a square, or (height, width).
    pub fn new(filters: usize, kernel_size: impl Into<Pair>) -> Self {
        Self {
            filters,
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            dilation_rate: 1.into(),
            depth_multiplier: 1,
            activation: Activation::Linear,
            use_bias: true,
            depthwise_initializer: Initializer::GlorotUniform,
            pointwise_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            depthwise_regularizer: None,
            pointwise_regularizer: None,
            bias_regularizer: None,
        }
    }

    /// How far the kernels move each time, down and to the right; 1.
    pub fn strides(self, strides: impl Into<Pair>) -> Self {
        Self { strides: strides.into(), ..self }
    }

    /// Whether zeros are put round the image; `Valid`: no.
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// How far apart the cells of the image are that lie under neighbouring cells of a kernel, down
    /// and to the right; 1.
    pub fn dilation_rate(self, dilation_rate: impl Into<Pair>) -> Self {
        Self { dilation_rate: dilation_rate.into(), ..self }
    }

    /// How many kernels each channel has; 1.
    pub fn depth_multiplier(self, depth_multiplier: usize) -> Self {
        Self { depth_multiplier, ..self }
    }

    /// What is applied to the sums; `Linear`.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Whether a bias is added; `true`.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// How the kernels of the channels start; `GlorotUniform`.
    pub fn depthwise_initializer(self, depthwise_initializer: Initializer) -> Self {
        Self { depthwise_initializer, ..self }
    }

    /// How the kernel that mixes channels starts; `GlorotUniform`.
    pub fn pointwise_initializer(self, pointwise_initializer: Initializer) -> Self {
        Self { pointwise_initializer, ..self }
    }

    /// How the bias starts; `Zeros`.
    pub fn bias_initializer(self, bias_initializer: Initializer) -> Self {
        Self { bias_initializer, ..self }
    }

    /// What the kernels of the channels add to the loss; nothing.
    pub fn depthwise_regularizer(self, regularizer: Regularizer) -> Self {
        Self { depthwise_regularizer: Some(regularizer), ..self }
    }

    /// What the kernel that mixes channels adds to the loss; nothing.
    pub fn pointwise_regularizer(self, regularizer: Regularizer) -> Self {
        Self { pointwise_regularizer: Some(regularizer), ..self }
    }

    /// What the bias adds to the loss; nothing.
    pub fn bias_regularizer(self, regularizer: Regularizer) -> Self {
        Self { bias_regularizer: Some(regularizer), ..self }
    }

    /// The two steps.
    fn convs(&self, inputs: &[Shape]) -> Result<(Depthwise, Conv), String> {
        let [h, w, channels] = image(inputs)?;
        let sizes = [self.kernel_size, self.strides, self.dilation_rate];
        let window = super::window([h, w], "kernel", sizes, self.padding)?;
        let depthwise = Depthwise { window, channels, multiplier: self.depth_multiplier };
        let pixels = super::window(window.output, "kernel", [1.into(); 3], Padding::Valid)?;
        let channels = depthwise.filters();
        let pointwise = Conv { window: pixels, channels, filters: self.filters, exact: true };
        Ok((depthwise, pointwise))
    }

    /// The same for shapes that `output_shape` has accepted.
    pub(crate) fn accepted(&self, inputs: &[Shape]) -> (Depthwise, Conv) {
        self.convs(inputs).unwrap_or_else(|why| panic!("separable_conv2d: {why}"))
    }

    /// Leaves what comes out of the first step in `between`.
    fn run(&self, pass: Infer<'_>, between: &mut [f32], saved: &mut [f32]) {
        let (x, w, y) = (pass.x.get(0), pass.w, pass.y);
        let (depthwise, pointwise) = self.accepted(pass.x.shapes());
        let relu = self.activation == Activation::Relu;
        depthwise.forward(x, w.get(0), between);
        pointwise.forward(Layout::Rows, between, w.get(1), w.get(2), relu, y);
        if !relu {
            self.activation.apply_to(y, saved, self.filters);
        }
    }
}

impl Layer for SeparableConv2D {
    fn class_name(&self) -> &'static str {
        "SeparableConv2D"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        for (what, count) in [
            ("it has 0 filters", self.filters),
            ("its depth_multiplier is 0", self.depth_multiplier),
        ] {
            if count == 0 {
                return Err(format!("{what}; give at least 1"));
            }
        }
        let [h, w] = self.convs(inputs)?.0.window.output;
        Ok([h, w, self.filters].into())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let (Pair([kh, kw]), (depthwise, pointwise)) = (self.kernel_size, self.accepted(inputs));
        let [c, m, mixed] = [depthwise.channels, depthwise.multiplier, pointwise.channels];
        let kernel = [kh, kw, c, m];
        let depthwise =
            WeightSpec::trainable("depthwise_kernel", kernel, self.depthwise_initializer);
        let kernel = [1, 1, mixed, self.filters];
        let pointwise =
            WeightSpec::trainable("pointwise_kernel", kernel, self.pointwise_initializer);
        let mut weights = vec![
            depthwise.regularizer(self.depthwise_regularizer),
            pointwise.regularizer(self.pointwise_regularizer),
        ];
        if self.use_bias {
            let bias = WeightSpec::trainable("bias", self.filters, self.bias_initializer);
            weights.push(bias.regularizer(self.bias_regularizer));
        }
        weights
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    /// What comes out of the first step, and what the activation keeps.
    fn saved_len(&self, inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        let (depthwise, _) = self.accepted(inputs);
        let [h, w] = depthwise.window.output;
        n * depthwise.output_len() + self.activation.saved_len(n * h * w * self.filters)
    }

    /// The gradient between the steps, and what either needs.
    fn scratch_len(&self, inputs: &[Shape], n: usize, layout: Layout) -> usize {
        let (depthwise, pointwise) = self.accepted(inputs);
        let steps = depthwise.scratch_len(n).max(pointwise.scratch_len(layout, n));
        n * depthwise.output_len() + steps
    }

    fn infer(&self, pass: Infer<'_>) {
        let (depthwise, _) = self.accepted(pass.x.shapes());
        with_scratch(pass.n * depthwise.output_len(), |between| self.run(pass, between, &mut []));
    }

    fn forward(&self, mut pass: Forward<'_>) {
        let (depthwise, _) = self.accepted(pass.x.shapes());
        let between = pass.n * depthwise.output_len();
        let (infer, saved) = pass.infer_and_saved();
        let (between, saved) = saved.split_at_mut(between);
        self.run(infer, between, saved);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (x, w, dy, layout) = (pass.x.get(0), pass.w, pass.dy, pass.layout);
        let (depthwise, pointwise) = self.accepted(pass.x.shapes());
        let (between, saved) = pass.saved.split_at_mut(pass.n * depthwise.output_len());
        let (dbetween, scratch) = pass.scratch.split_at_mut(between.len());
        self.activation.gradient(pass.y, saved, dy, self.filters);
        let [ddepthwise, dpointwise, dbias] = pass.dw.all();
        pointwise.backward_input(layout, dy, w.get(1), dbetween);
        if pass.trainable {
            let worked_in = &mut scratch[..pointwise.scratch_len(layout, pass.n)];
            pointwise.backward_weights(layout, between, dy, worked_in, [dpointwise, dbias]);
            depthwise.backward_weights(x, dbetween, scratch, ddepthwise);
        }
        if let Some(dx) = pass.dx.get(0) {
            depthwise.backward_input(dbetween, w.get(0), dx);
        }
    }

    fn without_activation(&self) -> Option<(Activation, Arc<dyn Layer>)> {
        let linear = self.clone().activation(Activation::Linear);
        Some((self.activation, Arc::new(linear)))
    }

    fn with_relu_behind(&self) -> Option<Arc<dyn Layer>> {
        let relu = || Arc::new(self.clone().activation(Activation::Relu)) as Arc<dyn Layer>;
        (self.activation == Activation::Linear).then(relu)
    }

    fn details(&self, inputs: &[Shape]) -> Details {
        let (Depthwise { window, channels, multiplier }, _) = self.accepted(inputs);
        let (mixed, filters) = (channels * multiplier, counted(self.filters, "filter"));
        Details::default()
            .setting(format!("{} of {} a channel", counted(multiplier, "filter"), self.kernel_size))
            .window(&window, self.padding)
            .setting(format!("then {filters} of 1×1"))
            .sized(format!("channels: {channels}·{multiplier} = {mixed}, then {filters}"))
            .activation(self.activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;
    use Padding::{Same, Valid};

    #[test]
    fn obeys_the_laws() {
        for padding in [Valid, Same] {
            for kernel in [Pair([1, 1]), Pair([3, 2])] {
                let layer = || SeparableConv2D::new(4, kernel).padding(padding);
                check::laws(layer, &[[4, 5, 3].into()]);
                check::laws(|| layer().depth_multiplier(2).strides((1, 2)), &[[4, 5, 2].into()]);
                check::laws(|| layer().dilation_rate((1, 2)).use_bias(false), &[[4, 5, 2].into()]);
            }
        }
        let layer = || SeparableConv2D::new(3, 2).activation(Activation::Gelu);
        check::laws(layer, &[[3, 3, 2].into()]);
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let image = [Shape::from([3, 3, 8])];
        for (layer, reason) in [
            (
                SeparableConv2D::new(2, 5),
                "a 5×5 kernel does not fit; use padding(Same) or a smaller kernel",
            ),
            (SeparableConv2D::new(0, 2), "it has 0 filters; give at least 1"),
            (
                SeparableConv2D::new(2, 2).depth_multiplier(0),
                "its depth_multiplier is 0; give at least 1",
            ),
            (
                SeparableConv2D::new(2, 2).dilation_rate(2).strides(2),
                "its strides are 2×2 and its dilation_rate is 2×2; one of them has to be 1",
            ),
        ] {
            let who = "separable_conv2d: cannot take an input of shape (3, 3, 8):";
            check::refuses(layer, &image, &format!("{who} {reason}"));
        }
    }
}
