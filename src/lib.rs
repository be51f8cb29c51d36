//! Train convolutional networks on a CPU.

mod error;
#[allow(dead_code)]
mod kernels;
pub mod metrics;

pub use error::{Error, ErrorKind, Result};
