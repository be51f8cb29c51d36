//! The mathematics, on slices and shapes. Knows no layer, no model and no file; the only home of
//! `unsafe` and of instruction sets.

pub(crate) mod activation;
pub(crate) mod affine;
pub(crate) mod average_pool;
pub mod bench;
pub(crate) mod buffer;
pub(crate) mod channels;
pub(crate) mod conv;
mod conv_im2col;
pub(crate) mod depthwise;
mod direct;
pub(crate) mod elementwise;
mod exp;
pub(crate) mod gemm;
mod gemm_tile;
pub(crate) mod grouped;
#[cfg(test)]
mod guarded;
mod im2col;
pub(crate) mod interpolate;
pub(crate) mod lanes;
pub(crate) mod layout;
pub(crate) mod local_response;
pub(crate) mod max_pool;
pub(crate) mod normalise;
pub(crate) mod pad;
pub(crate) mod parallel;
mod pool;
pub(crate) mod reductions;
pub(crate) mod resize;
pub(crate) mod simd;
pub(crate) mod softmax;
pub(crate) mod update;
mod vector;
pub(crate) mod window;
mod winograd;
