use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Activation, Backward, Config, Details, Forward, Infer, Lanes, Layer, Layout, Pair, WeightSpec,
    config_of, image,
};
use crate::initializers::Initializer;
use crate::kernels::conv::Conv;
use crate::kernels::grouped::Grouped;
use crate::kernels::window::Padding;
use crate::regularizers::Regularizer;
use crate::shape::Shape;
use crate::words::counted;

/// Slides filters over images: `y = activation(x ∗ kernel + bias)`. Keras: `Conv2D`.
///
/// | tensor | shape                         | starts as      |
/// |--------|-------------------------------|----------------|
/// | input  | `(n, h, w, c)`                |                |
/// | kernel | `(kh, kw, c/groups, filters)` | Glorot uniform |
/// | bias   | `(filters)`                   | zeros          |
/// | output | `(n, oh, ow, filters)`        |                |
///
/// With padding `Valid`, `oh = (h − kh)/s + 1`, rounded down; with `Same`, `oh = h/s`, rounded up, and
/// zeros are put round the image, the odd one at the bottom and right. The kernel is not flipped:
/// cross-correlation, as everywhere in this field.
///
/// # Errors
/// `apply` refuses inputs that are not images, kernels larger than the image unless padding is
/// `Same`, sizes of 0, groups that do not divide channels and filters, and a dilation together with
/// strides.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// assert_eq!(image.apply(Conv2D::new(6, 5).padding(Same))?.shape().to_string(), "(28, 28, 6)");
/// let wide = Conv2D::new(8, (3, 5)).strides(2).activation(Relu).use_bias(false);
/// assert_eq!(image.apply(wide)?.shape().to_string(), "(13, 12, 8)");
/// let dilated = Conv2D::new(8, 3).dilation_rate(2);
/// assert_eq!(image.apply(dilated)?.shape().to_string(), "(24, 24, 8)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2D {
    filters: usize,
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    dilation_rate: Pair,
    groups: usize,
    pub(crate) activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    exact: bool,
}

impl Conv2D {
    /// This many filters of a size: a number for a square, or (height, width).
    pub fn new(filters: usize, kernel_size: impl Into<Pair>) -> Self {
        Self {
            filters,
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            dilation_rate: 1.into(),
            groups: 1,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            exact: false,
        }
    }

    /// How far the filters move each time, down and to the right; 1.
    pub fn strides(self, strides: impl Into<Pair>) -> Self {
        Self { strides: strides.into(), ..self }
    }

    /// Whether zeros are put round the image; `Valid`: no.
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// How far apart the cells of the image are that lie under neighbouring cells of the kernel, down
    /// and to the right; 1.
    pub fn dilation_rate(self, dilation_rate: impl Into<Pair>) -> Self {
        Self { dilation_rate: dilation_rate.into(), ..self }
    }

    /// Into how many groups channels and filters are cut, in order; each group of filters sees its
    /// group of channels only. 1.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// What is applied to the sums; `Linear`.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Whether a bias is added; `true`.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// How the kernel starts; `GlorotUniform`.
    pub fn kernel_initializer(self, kernel_initializer: Initializer) -> Self {
        Self { kernel_initializer, ..self }
    }

    /// How the bias starts; `Zeros`.
    pub fn bias_initializer(self, bias_initializer: Initializer) -> Self {
        Self { bias_initializer, ..self }
    }

    /// What the kernel adds to the loss; nothing.
    pub fn kernel_regularizer(self, regularizer: Regularizer) -> Self {
        Self { kernel_regularizer: Some(regularizer), ..self }
    }

    /// What the bias adds to the loss; nothing.
    pub fn bias_regularizer(self, regularizer: Regularizer) -> Self {
        Self { bias_regularizer: Some(regularizer), ..self }
    }

    /// Whether every product and sum of the definition is computed; `false`. Otherwise 3×3 and 5×5
    /// kernels with strides of 1 and at least 32 channels and filters go Winograd's way (Lavin & Gray
    /// 2016), which is 2 to 3 times as fast; its largest error is up to 1.2e-5 of the largest value
    /// of the output instead of about 1e-6. Not in Keras.
    pub fn exact(self, exact: bool) -> Self {
        Self { exact, ..self }
    }

    fn conv(&self, inputs: &[Shape]) -> Result<Grouped, String> {
        let [h, w, channels] = image(inputs)?;
        let Self { filters, groups, exact, .. } = *self;
        let sizes = [self.kernel_size, self.strides, self.dilation_rate];
        let window = super::window([h, w], "kernel", sizes, self.padding)?;
        if groups == 0 {
            return Err("it has 0 groups; give at least 1".to_string());
        }
        for (what, count) in [("channels of the input", channels), ("filters", filters)] {
            if !count.is_multiple_of(groups) {
                return Err(format!(
                    "its {groups} groups do not divide the {count} {what}; use a divisor of both"
                ));
            }
        }
        let (channels, filters) = (channels / groups, filters / groups);
        Ok(Grouped { conv: Conv { window, channels, filters, exact }, groups })
    }

    /// The same for shapes that `output_shape` has accepted.
    pub(crate) fn accepted(&self, inputs: &[Shape]) -> Grouped {
        self.conv(inputs).unwrap_or_else(|why| panic!("conv2d: {why}"))
    }

    fn run(&self, pass: Infer<'_>, saved: &mut [f32]) {
        let (x, w, y, layout) = (pass.x.get(0), pass.w, pass.y, pass.layout);
        let relu = self.activation == Activation::Relu;
        self.accepted(pass.x.shapes()).forward(layout, x, w.get(0), w.get(1), relu, y);
        if !relu {
            self.activation.apply_to(y, saved, self.filters);
        }
    }
}

impl Layer for Conv2D {
    fn class_name(&self) -> &'static str {
        "Conv2D"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [h, w] = self.conv(inputs)?.conv.window.output;
        if self.filters == 0 {
            return Err("it has 0 filters; give at least 1".to_string());
        }
        Ok([h, w, self.filters].into())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let Pair([kh, kw]) = self.kernel_size;
        let kernel = [kh, kw, self.accepted(inputs).conv.channels, self.filters];
        let kernel = WeightSpec::trainable("kernel", kernel, self.kernel_initializer);
        let mut weights = vec![kernel.regularizer(self.kernel_regularizer)];
        if self.use_bias {
            let bias = WeightSpec::trainable("bias", self.filters, self.bias_initializer);
            weights.push(bias.regularizer(self.bias_regularizer));
        }
        weights
    }

    fn lanes(&self, inputs: &[Shape]) -> Lanes {
        let Grouped { conv, groups } = self.accepted(inputs);
        let able = groups == 1 && conv.window.dilation == [1, 1];
        let faster = self.activation != Activation::Softmax && conv.few_filters();
        if able && faster { Lanes::Faster } else { Lanes::Never }
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    /// What the activation keeps.
    fn saved_len(&self, inputs: &[Shape], n: usize, layout: Layout) -> usize {
        let [h, w] = self.accepted(inputs).conv.window.output;
        self.activation.saved_len(layout.floats(n, h * w * self.filters))
    }

    fn scratch_len(&self, inputs: &[Shape], n: usize, layout: Layout) -> usize {
        self.accepted(inputs).scratch_len(layout, n)
    }

    fn infer(&self, pass: Infer<'_>) {
        self.run(pass, &mut []);
    }

    fn forward(&self, mut pass: Forward<'_>) {
        let (infer, saved) = pass.infer_and_saved();
        self.run(infer, saved);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (x, dy, layout) = (pass.x.get(0), pass.dy, pass.layout);
        let conv = self.accepted(pass.x.shapes());
        self.activation.gradient(pass.y, pass.saved, dy, self.filters);
        let [dkernel, dbias] = pass.dw.all();
        if pass.trainable {
            conv.backward_weights(layout, x, dy, pass.scratch, [dkernel, dbias]);
        }
        if let Some(dx) = pass.dx.get(0) {
            conv.backward_input(layout, dy, pass.w.get(0), dx);
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
        let window = self.accepted(inputs).conv.window;
        let filters = counted(self.filters, "filter");
        let mut details = Details::default()
            .setting(format!("{filters} of {}", self.kernel_size))
            .window(&window, self.padding)
            .sized(format!("channels: {filters}"));
        if self.groups > 1 {
            details = details.setting(format!("groups {}", self.groups));
        }
        details.activation(self.activation)
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
            for kernel in [Pair([1, 1]), Pair([3, 3]), Pair([2, 3]), Pair([4, 4])] {
                for strides in [Pair([1, 1]), Pair([2, 1]), Pair([3, 5])] {
                    let layer = || Conv2D::new(3, kernel).strides(strides).padding(padding);
                    check::laws(layer, &[[5, 6, 2].into()]);
                }
            }
        }
        for padding in [Valid, Same] {
            let dilated = || Conv2D::new(2, (3, 2)).dilation_rate((2, 3)).padding(padding);
            check::laws(dilated, &[[6, 5, 2].into()]);
            let grouped = || Conv2D::new(6, 3).groups(3).padding(padding);
            check::laws(|| grouped().strides(2), &[[5, 4, 6].into()]);
            check::laws(|| grouped().dilation_rate((1, 2)), &[[4, 5, 3].into()]);
        }
        check::laws(|| Conv2D::new(2, 3).activation(Activation::Tanh), &[[4, 4, 1].into()]);
        check::laws(|| Conv2D::new(2, 3).use_bias(false), &[[3, 3, 1].into()]);
        check::laws(|| Conv2D::new(2, 5).padding(Same), &[[2, 1, 3].into()]);
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let image = [Shape::from([3, 3, 8])];
        for (layer, reason) in [
            (
                Conv2D::new(16, 5),
                "a 5×5 kernel does not fit; use padding(Same) or a smaller kernel",
            ),
            (Conv2D::new(16, (0, 2)), "its kernel is 0×2; every size is at least 1"),
            (Conv2D::new(16, 2).strides((1, 0)), "its strides are 1×0; every size is at least 1"),
            (Conv2D::new(0, 2), "it has 0 filters; give at least 1"),
            (Conv2D::new(4, 2).groups(0), "it has 0 groups; give at least 1"),
            (
                Conv2D::new(6, 2).groups(3),
                "its 3 groups do not divide the 8 channels of the input; use a divisor of both",
            ),
            (
                Conv2D::new(6, 2).groups(4),
                "its 4 groups do not divide the 6 filters; use a divisor of both",
            ),
            (
                Conv2D::new(4, 2).dilation_rate((0, 1)),
                "its dilation_rate is 0×1; every size is at least 1",
            ),
            (
                Conv2D::new(4, 2).dilation_rate((1, 2)).strides(2),
                "its strides are 2×2 and its dilation_rate is 1×2; one of them has to be 1",
            ),
            (
                Conv2D::new(4, 2).dilation_rate(3),
                "a 2×2 kernel with dilation_rate 3×3 does not fit; use padding(Same) or a smaller \
                 kernel",
            ),
        ] {
            let sentence = format!("conv2d: cannot take an input of shape (3, 3, 8): {reason}");
            check::refuses(layer, &image, &sentence);
        }
        let sentence = "conv2d: cannot take an input of shape (784): it wants images of (height, \
                        width, channels)";
        check::refuses(Conv2D::new(16, 5), &[784.into()], sentence);
    }
}
