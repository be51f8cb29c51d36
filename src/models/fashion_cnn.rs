use crate::error::Result;
use crate::graph::{Node, Nodes};
use crate::layers::Padding::Same;
use crate::layers::{Activation::Relu, Activation::Softmax};
use crate::layers::{BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPool2D};

/// A small network with batch normalisation and dropout: Conv 32 3×3, BatchNormalization, MaxPool,
/// Dropout 0.25, Flatten, Dense 512, BatchNormalization, Dense; for grey images of 28 × 28 pixels and
/// 10 classes 3,219,402 parameters.
///
/// # Errors
/// If the input is not one image of at least 2 × 2 pixels.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// let model = Model::new(&image, models::fashion_cnn(&image, 10)?)?;
/// assert_eq!(model.count_params(), 3_219_402);
/// # Ok::<(), convnet::Error>(())
/// ```
#[track_caller]
pub fn fashion_cnn(input: impl Nodes, classes: usize) -> Result<Node> {
    input
        .apply(Conv2D::new(32, 3).padding(Same).activation(Relu))?
        .apply(BatchNormalization::new())?
        .apply(MaxPool2D::new(2))?
        .apply(Dropout::new(0.25))?
        .apply(Flatten::new())?
        .apply(Dense::new(512).activation(Relu))?
        .apply(BatchNormalization::new())?
        .apply(Dense::new(classes).activation(Softmax))
}
