//! Train convolutional networks on a CPU.

pub mod datasets;
mod error;
#[allow(dead_code)]
mod kernels;
pub mod preprocessing;

pub use error::{Error, ErrorKind, Result};
