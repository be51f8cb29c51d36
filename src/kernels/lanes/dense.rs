//! The gradients of a dense layer's weights and bias, with images in lanes.

use super::conv_input::add_products;
use super::transpose::{copy, transposed_rows};
use super::{LANES, Lanes, TILE, sized_tile, tiles};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};

/// Overwrites `dw` and, unless it is empty, `db` with the gradients of a few blocks together. As a
/// convolution it would add up the lanes of every weight; here units are put in the lanes, and the
/// sum over images needs none.
///
/// `x (blocks, inputs, LANES)`, `dy (blocks, units, LANES)`, `dw (inputs, units)`, `db (units)`.
pub(crate) fn backward_weights(
    level: Level,
    [inputs, units]: [usize; 2],
    x: &[Lanes],
    dy: &[Lanes],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let blocks = x.len() / inputs;
    assert_eq!([x.len(), dy.len(), dw.len()], [blocks * inputs, blocks * units, inputs * units]);
    assert!(db.is_empty() || db.len() == units);
    with_scratch(units.next_multiple_of(LANES) * blocks * LANES, |scratch| {
        let images = scratch.as_chunks_mut().0; // (units / LANES, blocks, LANES images) of LANES units
        let mut squares = images.chunks_exact_mut(LANES);
        for unit in (0..units).step_by(LANES) {
            for dy in dy.chunks_exact(units) {
                let numbers = &dy[unit..units.min(unit + LANES)];
                squares.next().unwrap().copy_from_slice(&transposed_rows(numbers));
            }
        }
        if !db.is_empty() {
            sum_images(level, images, db);
        }
        outer_product(level, [inputs, units], x, images, dw);
    });
}

with_vectors! {
    fn sum_images(images: &[Lanes], db: &mut [f32]) = sum_images_body::<[V; P]>
}

#[inline(always)]
fn sum_images_body<V: Vector>(images: &[Lanes], db: &mut [f32]) {
    let depth = images.len() / db.len().div_ceil(LANES);
    for (i, db) in db.chunks_mut(LANES).enumerate() {
        let mut sum = V::splat(0.0);
        for image in &images[i * depth..][..depth] {
            sum = sum.plus(V::load(image));
        }
        sum.store_some(db);
    }
}

with_vectors! {
    fn outer_product(dims: [usize; 2], x: &[Lanes], images: &[Lanes], dw: &mut [f32]) =
        outer_product_body::<V, P>
}

#[inline(always)]
fn outer_product_body<V: Vector, const P: usize>(
    dims: [usize; 2],
    x: &[Lanes],
    images: &[Lanes],
    dw: &mut [f32],
) {
    let [inputs, units] = dims;
    let depth = x.len() / inputs * LANES; // all images
    for (first, n) in tiles(inputs, TILE) {
        let dw = &mut dw[first * units..][..n * units];
        for unit in (0..units).step_by(LANES) {
            let images = &images[unit / LANES * depth..][..depth];
            sized_tile!(n, tile::<V, P>(dims, first, unit, x, images, dw));
        }
    }
}

/// The weights of `N` inputs and up to `LANES` units.
#[inline(always)]
fn tile<V: Vector, const P: usize, const N: usize>(
    [inputs, units]: [usize; 2],
    first: usize,
    unit: usize,
    x: &[Lanes],
    images: &[Lanes],
    dw: &mut [f32],
) {
    let mut sums = [[V::splat(0.0); P]; N];
    for (block, images) in images.chunks_exact(LANES).enumerate() {
        add_products(&mut sums, images, x[block * inputs + first..][..N].as_flattened());
    }
    let mut rows = [[0.0; LANES]; N];
    for j in 0..N {
        for p in 0..P {
            sums[j][p].store(&mut rows[j][p * V::LANES..]);
        }
    }
    for (j, row) in rows.iter().enumerate() {
        copy(row, &mut dw[j * units..][unit..units]);
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
                let (mut want, mut want_db) = (vec![0.0; inputs * units], vec![0.0; units]);
                for (x, dy) in x.chunks(inputs).zip(dy.chunks(units)) {
                    for (i, want) in want.iter_mut().enumerate() {
                        let (x, dy) = (&x[i / units], &dy[i % units]);
                        *want += x.iter().zip(dy).map(|(x, dy)| x * dy).sum::<f32>();
                    }
                    for (db, dy) in want_db.iter_mut().zip(dy) {
                        *db += dy.iter().sum::<f32>();
                    }
                }
                for level in Level::all() {
                    let (mut dw, mut db) = (vec![f32::NAN; want.len()], vec![f32::NAN; units]);
                    backward_weights(level, [inputs, units], &x, &dy, &mut dw, &mut db);
                    let want = (&want, &want_db);
                    assert_eq!((&dw, &db), want, "{level:?} {inputs} {units}, {blocks} blocks");
                }
            }
        }
    }
}
