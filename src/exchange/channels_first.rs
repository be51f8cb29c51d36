//! Kernels as programs keep them that have an image's channels before its pixels.

use ndarray::{ArrayD, ArrayViewD, Axis};

/// `(kh, kw, in, out)` to `(out, in, kh, kw)`.
pub(super) fn conv(kernel: ArrayViewD<'_, f32>) -> ArrayD<f32> {
    contiguous(kernel.permuted_axes(vec![3, 2, 0, 1]))
}

/// `(kh, kw, c, multiplier)` to `(c·multiplier, 1, kh, kw)`.
pub(super) fn depthwise(kernel: ArrayViewD<'_, f32>) -> ArrayD<f32> {
    let [kh, kw, c, multiplier] = [0, 1, 2, 3].map(|axis| kernel.len_of(Axis(axis)));
    let kernel = contiguous(kernel.permuted_axes(vec![2, 3, 0, 1]));
    let shaped = kernel.into_shape_with_order(vec![c * multiplier, 1, kh, kw]);
    shaped.expect("the same numbers under another shape")
}

/// In row-major order again.
pub(super) fn contiguous(view: ArrayViewD<'_, f32>) -> ArrayD<f32> {
    view.as_standard_layout().into_owned()
}
