//! Models to and from other programs, a file or folder each. A layer knows no format; a format has one
//! table of the layers it has a like of.

mod channels_first;
#[cfg(feature = "keras")]
mod keras;
#[cfg(feature = "onnx")]
mod onnx;
mod pytorch;
