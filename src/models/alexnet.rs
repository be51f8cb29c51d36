use crate::error::Result;
use crate::graph::{Node, Nodes};
use crate::layers::Padding::Same;
use crate::layers::{Activation::Relu, Activation::Softmax};
use crate::layers::{Conv2D, Dense, Dropout, Flatten, MaxPool2D};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012) as one tower, without its local response
/// normalisation: for colour images of 227 × 227 pixels and 1,000 classes 227×227×3 → 55×55×96 →
/// 27×27×96 → 27×27×256 → 13×13×256 → 13×13×384 → 13×13×384 → 13×13×256 → 6×6×256 → 4096 → 4096 →
/// 1000, with 62,378,344 parameters.
///
/// # Errors
/// If the input is not one image, or is smaller than 67 × 67 pixels.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([227, 227, 3]);
/// let model = Model::new(&image, models::alexnet(&image, 1000)?)?;
/// assert_eq!(model.count_params(), 62_378_344);
/// # Ok::<(), convnet::Error>(())
/// ```
#[track_caller]
pub fn alexnet(input: impl Nodes, classes: usize) -> Result<Node> {
    input
        .apply(Conv2D::new(96, 11).strides(4).activation(Relu))?
        .apply(MaxPool2D::new(3).strides(2))?
        .apply(Conv2D::new(256, 5).padding(Same).activation(Relu))?
        .apply(MaxPool2D::new(3).strides(2))?
        .apply(Conv2D::new(384, 3).padding(Same).activation(Relu))?
        .apply(Conv2D::new(384, 3).padding(Same).activation(Relu))?
        .apply(Conv2D::new(256, 3).padding(Same).activation(Relu))?
        .apply(MaxPool2D::new(3).strides(2))?
        .apply(Flatten::new())?
        .apply(Dense::new(4096).activation(Relu))?
        .apply(Dropout::new(0.5))?
        .apply(Dense::new(4096).activation(Relu))?
        .apply(Dropout::new(0.5))?
        .apply(Dense::new(classes).activation(Softmax))
}
