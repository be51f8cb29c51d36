//! The mathematics, on slices and shapes. Knows no layer, no model and no file; the only home of
//! `unsafe` and of instruction sets.

pub(crate) mod average_pool;
pub(crate) mod buffer;
pub(crate) mod im2col;
pub(crate) mod lanes;
pub(crate) mod max_pool;
mod pool;
pub(crate) mod simd;
pub(crate) mod window;
