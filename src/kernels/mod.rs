//! The mathematics, on slices and shapes. Knows no layer, no model and no file; the only home of
//! `unsafe` and of instruction sets.

pub(crate) mod buffer;
pub(crate) mod direct;
pub(crate) mod simd;
