//! The gradient of a dense layer's weights, with images in lanes.

use super::conv_input::add_products;
use super::transpose::{copy, transposed_rows};
use super::vector::{Vector, with_vectors};
use super::{LANES, Lanes, TILE, sized_tile, tiles};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;

/// Overwrites `dw` with the gradient of a few blocks together. As a convolution it would add up the
/// lanes of every weight; here units are put in the lanes, and the sum over images needs none.
///
/// `x (blocks, inputs, LANES)`, `dy (blocks, units, LANES)`, `dw (inputs, units)`.
pub(crate) fn backward_weights(
    level: Level,
    [inputs, units]: [usize; 2],
    x: &[Lanes],
    dy: &[Lanes],
    dw: &mut [f32],
) {
    let blocks = x.len() / inputs;
    assert_eq!([x.len(), dy.len(), dw.len()], [blocks * inputs, blocks * units, inputs * units]);
    with_scratch(blocks * LANES * LANES, |scratch| {
        let images = scratch.as_chunks_mut().0; // (blocks, LANES images) of up to LANES units
        for unit in (0..units).step_by(LANES) {
            let width = LANES.min(units - unit);
            for (images, dy) in images.chunks_exact_mut(LANES).zip(dy.chunks_exact(units)) {
                images.copy_from_slice(&transposed_rows(&dy[unit..][..width]));
            }
            columns(level, [inputs, units], x, images, width, &mut dw[unit..]);
        }
    });
}

with_vectors! {
    /// The weights of `width` units, in the first columns of `dw`.
    fn columns(
        dims: [usize; 2],
        x: &[Lanes],
        images: &[Lanes],
        width: usize,
        dw: &mut [f32],
    ) = columns_body
}

#[inline(always)]
fn columns_body<V: Vector>(
    dims: [usize; 2],
    x: &[Lanes],
    images: &[Lanes],
    width: usize,
    dw: &mut [f32],
) {
    let [inputs, units] = dims;
    for (first, n) in tiles(inputs, TILE) {
        let dw = &mut dw[first * units..];
        sized_tile!(n, tile<V>(dims, first, x, images, width, dw));
    }
}

/// The weights of `N` inputs and `width` units.
#[inline(always)]
fn tile<V: Vector, const N: usize>(
    [inputs, units]: [usize; 2],
    first: usize,
    x: &[Lanes],
    images: &[Lanes],
    width: usize,
    dw: &mut [f32],
) {
    let mut sums = [V::splat(0.0); N];
    for (images, x) in images.chunks_exact(LANES).zip(x.chunks_exact(inputs)) {
        add_products(&mut sums, images, x[first..][..N].as_flattened());
    }
    for (sum, dw) in sums.into_iter().zip(dw.chunks_mut(units)) {
        let mut row = [0.0; LANES];
        sum.store(&mut row);
        copy(&row[..width], dw);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::block;
    use super::*;

    #[test]
    fn equals_the_naive_gradient() {
        for [inputs, units] in [[1, 1], [2, 15], [5, 16], [6, 17], [7, 10], [13, 32], [31, 40]] {
            for blocks in 0..4 {
                let (x, dy) = (block(blocks * inputs, 1), block(blocks * units, 2));
                let mut want = vec![0.0; inputs * units];
                for (x, dy) in x.chunks(inputs).zip(dy.chunks(units)) {
                    for (i, want) in want.iter_mut().enumerate() {
                        let (x, dy) = (&x[i / units], &dy[i % units]);
                        *want += x.iter().zip(dy).map(|(x, dy)| x * dy).sum::<f32>();
                    }
                }
                for level in Level::all() {
                    let mut dw = vec![f32::NAN; inputs * units];
                    backward_weights(level, [inputs, units], &x, &dy, &mut dw);
                    assert_eq!(dw, want, "{level:?} {inputs} {units}, {blocks} blocks");
                }
            }
        }
    }
}
