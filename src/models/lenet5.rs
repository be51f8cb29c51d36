use super::at_least;
use crate::error::Result;
use crate::graph::{Node, Nodes};
use crate::layers::Padding::Same;
use crate::layers::{Activation::Relu, Activation::Softmax, Conv2D, Dense, Flatten, MaxPool2D};

/// LeNet-5 (LeCun et al. 1998) as it is written today, with ReLU, max-pooling and softmax: for grey
/// images of 28 × 28 pixels and 10 classes 28×28×1 → 28×28×6 → 14×14×6 → 10×10×16 → 5×5×16 → 120 →
/// 84 → 10, with 61,706 parameters.
///
/// # Errors
/// If the input is not one image, or is smaller than 12 × 12 pixels.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// let model = Model::new(&image, models::lenet5(&image, 10)?)?;
/// assert_eq!(model.count_params(), 61_706);
/// # Ok::<(), convnet::Error>(())
/// ```
#[track_caller]
pub fn lenet5(input: impl Nodes, classes: usize) -> Result<Node> {
    at_least([12, 12], "lenet5", &input)?;
    input
        .apply(Conv2D::new(6, 5).padding(Same).activation(Relu))?
        .apply(MaxPool2D::new(2))?
        .apply(Conv2D::new(16, 5).activation(Relu))?
        .apply(MaxPool2D::new(2))?
        .apply(Flatten::new())?
        .apply(Dense::new(120).activation(Relu))?
        .apply(Dense::new(84).activation(Relu))?
        .apply(Dense::new(classes).activation(Softmax))
}
