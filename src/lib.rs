//! Train convolutional networks on a CPU.

mod error;

pub use error::{Error, ErrorKind, Result};
