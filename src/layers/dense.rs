use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Activation, Backward, Config, Details, Forward, Infer, Lanes, Layer, Layout, WeightSpec,
    config_of, last, single,
};
use crate::initializers::Initializer;
use crate::kernels::conv::Conv;
use crate::kernels::gemm::{Matrix, Write, par_gemm};
use crate::kernels::reductions::sum_rows;
use crate::kernels::simd::level;
use crate::regularizers::Regularizer;
use crate::shape::Shape;
use crate::words::counted;

/// A fully connected layer: `y = activation(x · kernel + bias)`. Keras: `Dense`.
///
/// | tensor | shape             | starts as      |
/// |--------|-------------------|----------------|
/// | input  | `(n, inputs)`     |                |
/// | kernel | `(inputs, units)` | Glorot uniform |
/// | bias   | `(units)`         | zeros          |
/// | output | `(n, units)`      |                |
///
/// An input with more axes is taken as rows of its last axis, as in Keras.
///
/// # Errors
/// `apply` refuses 0 units.
///
/// ```
/// use convnet::prelude::*;
///
/// let y = Input::new(400).apply(Dense::new(120).activation(Relu))?;
/// assert_eq!(y.shape().to_string(), "(120)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    units: usize,
    pub(crate) activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
}

/// The largest kernel that is worked on with samples in lanes: it is read anew for every block of 16
/// samples, so it should stay in a core's cache. 256 KB.
const LARGEST_KERNEL_IN_LANES: usize = 64 * 1024;

impl Dense {
    /// A layer with this many outputs.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
        }
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

    fn run(&self, pass: Infer<'_>, saved: &mut [f32]) {
        let (x, w, y) = (pass.x.get(0), pass.w, pass.y);
        let [inputs, units] = [last(pass.x.shape(0)), self.units];
        if pass.layout == Layout::Lanes {
            let relu = self.activation == Activation::Relu;
            let conv = Conv::dense(inputs, units);
            conv.forward(pass.layout, x, w.get(0), w.get(1), relu, y);
            return if !relu {
                self.activation.apply_to(y, saved, units)
            };
        }
        let rows = x.len() / inputs;
        let kernel = Matrix::new(w.get(0), inputs, units);
        // (rows, inputs) · (inputs, units)
        par_gemm(level(), y, Matrix::new(x, rows, inputs), kernel, Write::Overwrite);
        self.activation.with_bias(y, w.get(1), saved, units);
    }
}

impl Layer for Dense {
    fn class_name(&self) -> &'static str {
        "Dense"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let input = single(inputs)?;
        if self.units == 0 {
            return Err("it has 0 units; give at least 1".to_string());
        }
        let [rows @ .., _] = &**input else {
            return Err("it wants at least one axis".to_string());
        };
        Ok([rows, &[self.units]].concat().into())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let kernel = [last(&inputs[0]), self.units];
        let kernel = WeightSpec::trainable("kernel", kernel, self.kernel_initializer);
        let mut weights = vec![kernel.regularizer(self.kernel_regularizer)];
        if self.use_bias {
            let bias = WeightSpec::trainable("bias", self.units, self.bias_initializer);
            weights.push(bias.regularizer(self.bias_regularizer));
        }
        weights
    }

    fn lanes(&self, inputs: &[Shape]) -> Lanes {
        let fits = inputs[0].size() * self.units <= LARGEST_KERNEL_IN_LANES;
        let softmax = self.activation == Activation::Softmax;
        if inputs[0].len() == 1 && fits && !softmax { Lanes::Either } else { Lanes::Never }
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    /// What the activation keeps.
    fn saved_len(&self, inputs: &[Shape], n: usize, layout: Layout) -> usize {
        let rows = inputs[0].size() / last(&inputs[0]);
        self.activation.saved_len(layout.floats(n, rows * self.units))
    }

    fn scratch_len(&self, inputs: &[Shape], n: usize, layout: Layout) -> usize {
        match layout {
            Layout::Rows => 0,
            Layout::Lanes => Conv::dense(inputs[0].size(), self.units).scratch_len(layout, n),
        }
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
        let [inputs, units] = [last(pass.x.shape(0)), self.units];
        let rows = x.len() / inputs;
        self.activation.gradient(pass.y, pass.saved, dy, units);
        let [dkernel, dbias] = pass.dw.all();
        if pass.layout == Layout::Lanes {
            let conv = Conv::dense(inputs, units);
            if pass.trainable {
                conv.backward_weights(pass.layout, x, dy, pass.scratch, [dkernel, dbias]);
            }
            if let Some(dx) = pass.dx.get(0) {
                conv.backward_input(pass.layout, dy, pass.w.get(0), dx);
            }
            return;
        }
        let dz = Matrix::new(dy, rows, units);
        if pass.trainable {
            // (inputs, rows) · (rows, units)
            par_gemm(level(), dkernel, Matrix::new(x, rows, inputs).t(), dz, Write::Overwrite);
        }
        if !dbias.is_empty() {
            sum_rows(level(), dy, dbias);
        }
        if let Some(dx) = pass.dx.get(0) {
            let kernel = Matrix::new(pass.w.get(0), inputs, units);
            // (rows, units) · (units, inputs)
            par_gemm(level(), dx, dz, kernel.t(), Write::Overwrite);
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
        let (units, inputs) = (self.units, last(&inputs[0]));
        Details::default()
            .setting(counted(units, "unit"))
            .sized(format!("units: {units}, each of {}", counted(inputs, "input")))
            .activation(self.activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check;

    #[test]
    fn obeys_the_laws() {
        for activation in [Activation::Linear, Activation::Tanh, Activation::Sigmoid] {
            for use_bias in [true, false] {
                check::laws(
                    || Dense::new(3).activation(activation).use_bias(use_bias),
                    &[[5].into()],
                );
            }
        }
        check::laws(|| Dense::new(1), &[[1].into()]);
        check::laws(|| Dense::new(4).activation(Activation::Softmax), &[[7].into()]);
        check::laws(|| Dense::new(4), &[[2, 3].into()]);
    }

    #[test]
    fn refuses_no_units() {
        check::refuses(
            Dense::new(0),
            &[[5].into()],
            "dense: cannot take an input of shape (5): it has 0 units",
        );
    }
}
