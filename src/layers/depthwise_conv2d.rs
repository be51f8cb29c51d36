use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Activation, Backward, Config, Details, Forward, Infer, Layer, Layout, Padding, Pair,
    WeightSpec, config_of, image,
};
use crate::initializers::Initializer;
use crate::kernels::depthwise::Depthwise;
use crate::kernels::reductions::sum_rows;
use crate::kernels::simd::level;
use crate::regularizers::Regularizer;
use crate::shape::Shape;
use crate::words::counted;

/// Slides kernels over each channel of images by itself. Keras: `DepthwiseConv2D`.
///
/// | tensor | shape                             | starts as      |
/// |--------|-----------------------------------|----------------|
/// | input  | `(n, h, w, c)`                    |                |
/// | kernel | `(kh, kw, c, depth_multiplier)`   | Glorot uniform |
/// | bias   | `(c·depth_multiplier)`            | zeros          |
/// | output | `(n, oh, ow, c·depth_multiplier)` |                |
///
/// The outputs of one channel stand side by side. Sizes and padding are those of
/// [`Conv2D`](super::Conv2D).
///
/// # Errors
/// `apply` refuses inputs that are not images, kernels larger than the image unless padding is
/// `Same`, sizes of 0, and a dilation together with strides. Strides may differ, which Keras'
/// backends refuse.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 8]);
/// let layer = DepthwiseConv2D::new(3).depth_multiplier(2).padding(Same);
/// assert_eq!(image.apply(layer)?.shape().to_string(), "(28, 28, 16)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv2D {
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    depth_multiplier: usize,
    dilation_rate: Pair,
    pub(crate) activation: Activation,
    use_bias: bool,
    depthwise_initializer: Initializer,
    bias_initializer: Initializer,
    depthwise_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
}

impl DepthwiseConv2D {
    /// Kernels of a size: a number for a square, or (height, width).
    pub fn new(kernel_size: impl Into<Pair>) -> Self {
        Self {
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            depth_multiplier: 1,
            dilation_rate: 1.into(),
            activation: Activation::Linear,
            use_bias: true,
            depthwise_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            depthwise_regularizer: None,
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

    /// How many kernels each channel has; 1.
    pub fn depth_multiplier(self, depth_multiplier: usize) -> Self {
        Self { depth_multiplier, ..self }
    }

    /// How far apart the cells of the image are that lie under neighbouring cells of a kernel, down
    /// and to the right; 1.
    pub fn dilation_rate(self, dilation_rate: impl Into<Pair>) -> Self {
        Self { dilation_rate: dilation_rate.into(), ..self }
    }

    /// What is applied to the sums; `Linear`.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Whether a bias is added; `true`.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// How the kernels start; `GlorotUniform`.
    pub fn depthwise_initializer(self, depthwise_initializer: Initializer) -> Self {
        Self { depthwise_initializer, ..self }
    }

    /// How the bias starts; `Zeros`.
    pub fn bias_initializer(self, bias_initializer: Initializer) -> Self {
        Self { bias_initializer, ..self }
    }

    /// What the kernels add to the loss; nothing.
    pub fn depthwise_regularizer(self, regularizer: Regularizer) -> Self {
        Self { depthwise_regularizer: Some(regularizer), ..self }
    }

    /// What the bias adds to the loss; nothing.
    pub fn bias_regularizer(self, regularizer: Regularizer) -> Self {
        Self { bias_regularizer: Some(regularizer), ..self }
    }

    fn conv(&self, inputs: &[Shape]) -> Result<Depthwise, String> {
        let [h, w, channels] = image(inputs)?;
        let sizes = [self.kernel_size, self.strides, self.dilation_rate];
        let window = super::window([h, w], "kernel", sizes, self.padding)?;
        Ok(Depthwise { window, channels, multiplier: self.depth_multiplier })
    }

    /// The same for shapes that `output_shape` has accepted.
    pub(crate) fn accepted(&self, inputs: &[Shape]) -> Depthwise {
        self.conv(inputs).unwrap_or_else(|why| panic!("depthwise_conv2d: {why}"))
    }

    fn run(&self, pass: Infer<'_>, saved: &mut [f32]) {
        let (x, w, y) = (pass.x.get(0), pass.w, pass.y);
        let conv = self.accepted(pass.x.shapes());
        conv.forward(x, w.get(0), y);
        self.activation.with_bias(y, w.get(1), saved, conv.filters());
    }
}

impl Layer for DepthwiseConv2D {
    fn class_name(&self) -> &'static str {
        "DepthwiseConv2D"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Depthwise { window, channels, multiplier } = self.conv(inputs)?;
        if multiplier == 0 {
            return Err("its depth_multiplier is 0; give at least 1".to_string());
        }
        Ok([window.output[0], window.output[1], channels.saturating_mul(multiplier)].into())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let (Pair([kh, kw]), conv) = (self.kernel_size, self.accepted(inputs));
        let kernel = [kh, kw, conv.channels, conv.multiplier];
        let kernel = WeightSpec::trainable("kernel", kernel, self.depthwise_initializer);
        let mut weights = vec![kernel.regularizer(self.depthwise_regularizer)];
        if self.use_bias {
            let bias = WeightSpec::trainable("bias", conv.filters(), self.bias_initializer);
            weights.push(bias.regularizer(self.bias_regularizer));
        }
        weights
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    /// What the activation keeps.
    fn saved_len(&self, inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        self.activation.saved_len(n * self.accepted(inputs).output_len())
    }

    fn scratch_len(&self, inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        self.accepted(inputs).scratch_len(n)
    }

    fn infer(&self, pass: Infer<'_>) {
        self.run(pass, &mut []);
    }

    fn forward(&self, mut pass: Forward<'_>) {
        let (infer, saved) = pass.infer_and_saved();
        self.run(infer, saved);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (x, dy) = (pass.x.get(0), pass.dy);
        let conv = self.accepted(pass.x.shapes());
        self.activation.gradient(pass.y, pass.saved, dy, conv.filters());
        let [dkernel, dbias] = pass.dw.all();
        if pass.trainable {
            conv.backward_weights(x, dy, pass.scratch, dkernel);
        }
        if !dbias.is_empty() {
            sum_rows(level(), dy, dbias);
        }
        if let Some(dx) = pass.dx.get(0) {
            conv.backward_input(dy, pass.w.get(0), dx);
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
        let Depthwise { window, channels, multiplier } = self.accepted(inputs);
        let output = channels * multiplier;
        Details::default()
            .setting(format!("{} of {} a channel", counted(multiplier, "filter"), self.kernel_size))
            .window(&window, self.padding)
            .sized(format!("channels: {channels}·{multiplier} = {output}"))
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
            for kernel in [Pair([1, 1]), Pair([3, 3]), Pair([2, 4])] {
                let layer = || DepthwiseConv2D::new(kernel).padding(padding);
                check::laws(layer, &[[5, 6, 3].into()]);
                check::laws(|| layer().strides((2, 1)), &[[5, 6, 2].into()]);
                check::laws(|| layer().depth_multiplier(3).strides(3), &[[6, 5, 2].into()]);
                check::laws(|| layer().dilation_rate((2, 1)), &[[6, 6, 2].into()]);
            }
        }
        let layer = || DepthwiseConv2D::new(2).activation(Activation::Silu).use_bias(false);
        check::laws(layer, &[[3, 3, 2].into()]);
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let image = [Shape::from([3, 3, 8])];
        for (layer, reason) in [
            (
                DepthwiseConv2D::new(5),
                "a 5×5 kernel does not fit; use padding(Same) or a smaller kernel",
            ),
            (DepthwiseConv2D::new((2, 0)), "its kernel is 2×0; every size is at least 1"),
            (
                DepthwiseConv2D::new(2).depth_multiplier(0),
                "its depth_multiplier is 0; give at least 1",
            ),
            (
                DepthwiseConv2D::new(2).dilation_rate(2).strides((2, 1)),
                "its strides are 2×1 and its dilation_rate is 2×2; one of them has to be 1",
            ),
        ] {
            let who = "depthwise_conv2d: cannot take an input of shape (3, 3, 8):";
            check::refuses(layer, &image, &format!("{who} {reason}"));
        }
    }
}
