//! Networks with a name: nodes in, nodes out.

mod fashion_cnn;
mod lenet5;

pub use fashion_cnn::fashion_cnn;
pub use lenet5::lenet5;
