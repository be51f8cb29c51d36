//! Train convolutional networks on a CPU: Keras' functional API in pure Rust.

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
