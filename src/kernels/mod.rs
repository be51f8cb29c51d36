//! The mathematics, on slices and shapes. Knows no layer, no model and no file; the only home of
//! `unsafe` and of instruction sets.

pub(crate) mod buffer;
pub(crate) mod simd;
pub(crate) mod window;
pub(crate) mod winograd;
