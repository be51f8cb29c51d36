//! The mathematics, on slices and shapes. Knows no layer, no model and no file; the only home of
//! `unsafe` and of instruction sets.

pub(crate) mod activation;
pub(crate) mod adam;
pub(crate) mod average_pool;
pub(crate) mod buffer;
pub(crate) mod conv;
pub(crate) mod gemm;
mod gemm_tile;
pub(crate) mod im2col;
pub(crate) mod max_pool;
pub(crate) mod parallel;
mod pool;
pub(crate) mod simd;
pub(crate) mod softmax;
pub(crate) mod window;
