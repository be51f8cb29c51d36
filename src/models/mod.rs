//! Networks with a name: nodes in, nodes out.

mod alexnet;
mod fashion_cnn;
mod lenet5;

pub use alexnet::{AlexNet, Normalization, alexnet};
pub use fashion_cnn::fashion_cnn;
pub use lenet5::lenet5;
