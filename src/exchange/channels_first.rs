//! Weights as programs keep them that have an image's channels before its pixels.

use ndarray::{ArrayD, ArrayViewD, Axis};

/// `(kh, kw, in, out)` to `(out, in, kh, kw)`.
pub(super) fn conv(kernel: ArrayViewD<'_, f32>) -> ArrayD<f32> {
    contiguous(kernel.permuted_axes(vec![3, 2, 0, 1]))
}

/// `(out, in, kh, kw)` to `(kh, kw, in, out)`.
pub(super) fn conv_back(kernel: ArrayViewD<'_, f32>) -> ArrayD<f32> {
    contiguous(kernel.permuted_axes(vec![2, 3, 1, 0]))
}

/// `(kh, kw, c, multiplier)` to `(c·multiplier, 1, kh, kw)`.
pub(super) fn depthwise(kernel: ArrayViewD<'_, f32>) -> ArrayD<f32> {
    let [kh, kw, c, multiplier] = [0, 1, 2, 3].map(|axis| kernel.len_of(Axis(axis)));
    let kernel = contiguous(kernel.permuted_axes(vec![2, 3, 0, 1]));
    shaped(kernel, vec![c * multiplier, 1, kh, kw])
}

/// `(c·multiplier, 1, kh, kw)` to `(kh, kw, c, multiplier)`.
pub(super) fn depthwise_back(kernel: ArrayD<f32>, c: usize) -> ArrayD<f32> {
    let [filters, kh, kw] = [0, 2, 3].map(|axis| kernel.len_of(Axis(axis)));
    let kernel = shaped(kernel, vec![c, filters / c, kh, kw]);
    contiguous(kernel.view().permuted_axes(vec![2, 3, 0, 1]))
}

fn shaped(array: ArrayD<f32>, shape: Vec<usize>) -> ArrayD<f32> {
    array.into_shape_with_order(shape).expect("the same numbers under another shape")
}

/// In row-major order again.
pub(super) fn contiguous(view: ArrayViewD<'_, f32>) -> ArrayD<f32> {
    view.as_standard_layout().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(shape: [usize; 4]) -> ArrayD<f32> {
        let count = shape.iter().product::<usize>();
        shaped(
            (0..count).map(|i| i as f32).collect::<ndarray::Array1<f32>>().into_dyn(),
            shape.to_vec(),
        )
    }

    #[test]
    fn every_number_is_where_it_belongs() {
        let (own, [kh, kw, c, m]) = (kernel([2, 3, 4, 5]), [2, 3, 4, 5]);
        let (normal, single) = (conv(own.view()), depthwise(own.view()));
        assert_eq!(normal.shape(), [m, c, kh, kw]);
        assert_eq!(single.shape(), [c * m, 1, kh, kw]);
        for ((y, x), (i, o)) in [((0, 0), (0, 0)), ((1, 2), (3, 4)), ((1, 0), (2, 1))] {
            assert_eq!(normal[[o, i, y, x]], own[[y, x, i, o]]);
            assert_eq!(single[[i * m + o, 0, y, x]], own[[y, x, i, o]]);
        }
    }

    #[test]
    fn there_and_back() {
        let own = kernel([2, 3, 4, 5]);
        assert_eq!(conv_back(conv(own.view()).view()), own);
        assert_eq!(depthwise_back(depthwise(own.view()), 4), own);
    }
}
