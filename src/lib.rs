//! Train convolutional networks on a CPU.

mod error;
#[allow(dead_code)]
mod kernels;

pub use error::{Error, ErrorKind, Result};
pub use kernels::window::Padding;
