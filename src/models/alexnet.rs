use super::at_least;
use crate::error::Result;
use crate::graph::{Node, Nodes};
use crate::layers::Padding::Same;
use crate::layers::{Activation::Relu, Activation::Softmax};
use crate::layers::{
    BatchNormalization, Conv2D, Dense, Dropout, Flatten, LocalResponseNormalization, MaxPool2D,
    Pair,
};

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012) as one tower without normalisation, which is
/// [`AlexNet`] with its defaults: for colour images of 227 × 227 pixels and 1,000 classes 62,378,344
/// parameters.
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
    AlexNet::new(classes).build(input)
}

/// AlexNet (Krizhevsky, Sutskever & Hinton 2012), as one tower and in its other forms. For images of
/// 227 × 227 pixels: 55×55×96 → 27×27×96 → 27×27×256 → 13×13×256 → 13×13×384 → 13×13×384 →
/// 13×13×256 → 6×6×256 → 4096 → 4096 → classes.
///
/// ```
/// use convnet::models::{AlexNet, Normalization};
/// use convnet::prelude::*;
///
/// let image = Input::new([227, 227, 3]);
/// let count = |network: AlexNet| -> convnet::Result<usize> {
///     Ok(Model::new(&image, network.build(&image)?)?.count_params())
/// };
/// assert_eq!(count(AlexNet::paper(1000))?, 60_965_224);
/// assert_eq!(count(AlexNet::new(1000).groups(2))?, 60_965_224);
/// assert_eq!(count(AlexNet::new(1000))?, 62_378_344);
/// assert_eq!(count(AlexNet::new(1000).normalization(Normalization::Batch))?, 62_383_848);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AlexNet {
    classes: usize,
    groups: usize,
    normalization: Normalization,
    pool_size: Pair,
    dropout: f64,
}

/// What normalises the outputs of [`AlexNet`]'s convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Normalization {
    /// Nothing.
    None,
    /// [`LocalResponseNormalization`] behind the first two, as in the paper.
    LocalResponse,
    /// [`BatchNormalization`] behind every one.
    Batch,
}

impl AlexNet {
    /// One tower without normalisation, with pools of 3×3 that overlap and dropout of 0.5.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            groups: 1,
            normalization: Normalization::None,
            pool_size: 3.into(),
            dropout: 0.5,
        }
    }

    /// As in the paper: two groups, local response normalisation, pools that overlap, dropout of 0.5.
    pub fn paper(classes: usize) -> Self {
        Self::new(classes).groups(2).normalization(Normalization::LocalResponse)
    }

    /// The groups of the second, fourth and fifth convolution; 1. The paper has 2, one on each of its
    /// processors.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// What stands behind the convolutions; `None`.
    pub fn normalization(self, normalization: Normalization) -> Self {
        Self { normalization, ..self }
    }

    /// The size of the pools, which move by 2 each time; 3, so that they overlap.
    pub fn pool_size(self, pool_size: impl Into<Pair>) -> Self {
        Self { pool_size: pool_size.into(), ..self }
    }

    /// The rate of the dropout behind the first two dense layers; 0.5.
    pub fn dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }

    /// Applies the network; the node that comes back holds the probabilities of the classes.
    ///
    /// # Errors
    /// If the input is not one image, or is smaller than 67 × 67 pixels (39 × 39 with pools of 2), or if
    /// the groups do not divide the filters.
    #[track_caller]
    pub fn build(self, input: impl Nodes) -> Result<Node> {
        // One cell behind the third pool, so many before it, and so on to the first convolution.
        let smallest = self.pool_size.0.map(|size| size.saturating_mul(28).saturating_sub(17));
        at_least(smallest, "alexnet", &input)?;
        let grouped = |filters, size| Conv2D::new(filters, size).groups(self.groups);
        let pool = || MaxPool2D::new(self.pool_size).strides(2);
        let x = self.block(input, Conv2D::new(96, 11).strides(4), true)?.apply(pool())?;
        let x = self.block(x, grouped(256, 5).padding(Same), true)?.apply(pool())?;
        let x = self.block(x, Conv2D::new(384, 3).padding(Same), false)?;
        let x = self.block(x, grouped(384, 3).padding(Same), false)?;
        let x = self.block(x, grouped(256, 3).padding(Same), false)?;
        x.apply(pool())?
            .apply(Flatten::new())?
            .apply(Dense::new(4096).activation(Relu))?
            .apply(Dropout::new(self.dropout))?
            .apply(Dense::new(4096).activation(Relu))?
            .apply(Dropout::new(self.dropout))?
            .apply(Dense::new(self.classes).activation(Softmax))
    }

    /// A convolution and what normalises it.
    #[track_caller]
    fn block(self, input: impl Nodes, conv: Conv2D, early: bool) -> Result<Node> {
        let x = input.apply(conv.activation(Relu))?;
        match self.normalization {
            Normalization::LocalResponse if early => x.apply(LocalResponseNormalization::new()),
            Normalization::Batch => x.apply(BatchNormalization::new()),
            _ => Ok(x),
        }
    }
}
