//! Train convolutional networks on a CPU: Keras' functional API in pure Rust.
//!
//! ```
//! use convnet::prelude::*;
//!
//! # let images = ndarray::Array4::<f32>::zeros((10, 12, 12, 1));
//! # let labels = ndarray::Array1::<u8>::zeros(10);
//! let image = Input::new([12, 12, 1]);
//! let class = image
//!     .apply(Conv2D::new(8, 3).padding(Same).activation(Relu))?
//!     .apply(MaxPool2D::new(2))?
//!     .apply(Flatten::new())?
//!     .apply(Dense::new(10).activation(Softmax))?;
//! let model = Model::new(&image, &class)?;
//! let mut model = model.compile(Adam::default(), SparseCategoricalCrossentropy, [Accuracy]);
//!
//! // Arrays of `ndarray`: images (n, 12, 12, 1) and labels from 0 to 9.
//! let history = model.fit(&images, &labels, Fit::new().epochs(3).validation_split(0.2))?;
//! let probabilities = model.predict(&images)?; // (n, 10)
//! # Ok::<(), convnet::Error>(())
//! ```
//!
//! [`prelude`] has what most programs need, and [`Model`], [`layers`] and [`training`] are where to read on;
//! [`keras`] is a table of Keras' names. Each of these features adds something, none is on by itself:
//!
//! - `progress`: a live bar while a model trains on a terminal.
//! - `download`: [`datasets`] that are not on the machine are fetched.
//! - `images`: PNG and JPEG, and folders of them.
//! - `report`: a page of pictures of what a network learns.
//! - `tensorboard`: a callback that writes what TensorBoard reads.
//! - `onnx`, `keras`: models for ONNX Runtime, models and weights of Keras.

mod arrays;
mod batches;
pub mod callbacks;
pub mod datasets;
mod error;
mod exchange;
mod files;
mod graph;
mod initializers;
mod kernels;
mod labels;
pub mod layers;
pub mod losses;
pub mod metrics;
mod model;
pub mod models;
pub mod optimizers;
pub mod prelude;
pub mod preprocessing;
mod random;
mod regularizers;
#[cfg(feature = "report")]
pub mod report;
mod samples;
mod shape;
pub mod training;
mod words;

pub use arrays::Element;
pub use error::{Error, ErrorKind, Result};
pub use graph::{Input, Node, Nodes};
pub use initializers::Initializer;
#[doc(hidden)]
pub use kernels::bench;
pub use labels::{IntoLabels, Weighted};
pub use model::{Explanation, Matching, Model, Snapshot, Summary};
pub use regularizers::Regularizer;
pub use samples::{Column, IntoSamples, Samples};
pub use shape::Shape;

#[doc = include_str!("../docs/keras.md")]
pub mod keras {}

/// The README's program is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
