//! Networks with a name: nodes in, nodes out.

use std::panic::Location;

use crate::error::{Error, Result};
use crate::graph::Nodes;

mod alexnet;
mod fashion_cnn;
mod lenet5;

pub use alexnet::{AlexNet, Normalization, alexnet};
pub use fashion_cnn::fashion_cnn;
pub use lenet5::lenet5;

/// Refuses an image that the network called `who` has no room in, before a layer deep within does.
#[track_caller]
fn at_least([height, width]: [usize; 2], who: &str, input: &impl Nodes) -> Result<()> {
    if let [image] = &*input.nodes()
        && let Some([h, w, _]) = image.shape().dims()
        && (h < height || w < width)
    {
        return Err(Error::layer(format!(
            "{who}: cannot take an input of shape {}: it wants images of at least {height}×{width}; \
             give larger ones, or apply Resizing::new({height}, {width}) first ({})",
            image.shape(),
            Location::caller()
        )));
    }
    Ok(())
}
