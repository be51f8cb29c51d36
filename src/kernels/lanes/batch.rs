//! Convolutions and dense layers over all blocks of a batch, several at once.

use rayon::prelude::*;

use super::conv::{FEW, forward as forward_block};
use super::conv_input::{backward_input as backward_input_block, turn};
use super::{Conv, LANES, Lanes, conv_weights, dense};
use crate::kernels::buffer::with_scratch;
use crate::kernels::parallel::{Worth, flops};
use crate::kernels::simd::level;

/// The gradients to the weights are summed up over at most so many groups of blocks, which bounds
/// both the memory for them and the threads that work on them.
const MOST_SUMS: usize = 8;

/// Blocks in a group, of `blocks`.
fn group(blocks: usize) -> usize {
    blocks.div_ceil(MOST_SUMS).max(1)
}

/// Floats of scratch that [`backward_weights`] works in for `n` images.
pub(crate) fn scratch_len(conv: &Conv, n: usize) -> usize {
    let blocks = n.div_ceil(LANES);
    blocks.div_ceil(group(blocks)) * sum_len(conv)
}

/// Floats of the gradients to weights and bias.
fn sum_len(conv: &Conv) -> usize {
    conv.depth() * conv.filters + conv.filters
}

fn lanes(floats: &[f32]) -> &[Lanes] {
    floats.as_chunks().0
}

/// `x (n/16, h, w, c, 16)`, `w (kh, kw, c, f)`, `bias (f)` or empty, `y (n/16, oh, ow, f, 16)`.
pub(crate) fn forward(conv: &Conv, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    let [x_len, _, y_len] = conv.lens();
    let bias = (!bias.is_empty()).then_some(bias);
    let work = flops(conv.flops(y.len() / y_len));
    let blocks = y.as_chunks_mut().0.par_chunks_mut(y_len).zip(lanes(x).par_chunks(x_len));
    blocks.worth(work).for_each(|(y, x)| forward_block(level(), conv, x, w, bias, relu, y));
}

/// `dy (n/16, oh, ow, f, 16)`, `w (kh, kw, c, f)`, `dx (n/16, h, w, c, 16)`; `dx` is overwritten.
pub(crate) fn backward_input(conv: &Conv, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    if conv.channels <= FEW && conv.window.strides == [1, 1] {
        // So few channels are faster as filters, of which several pixels are made at once.
        return with_scratch(w.len(), |turned| {
            turn(conv, w, turned);
            let (channels, filters) = (conv.filters, conv.channels);
            let conv = Conv { window: conv.window.turned(), channels, filters, ..*conv };
            forward(&conv, dy, turned, &[], false, dx);
        });
    }
    let [x_len, _, y_len] = conv.lens();
    let work = flops(conv.flops(dy.len() / y_len));
    let blocks = dx.as_chunks_mut().0.par_chunks_mut(x_len).zip(lanes(dy).par_chunks(y_len));
    blocks.worth(work).for_each(|(dx, dy)| backward_input_block(level(), conv, dy, w, dx));
}

/// `x (n/16, h, w, c, 16)`, `dy (n/16, oh, ow, f, 16)`, `dw (kh, kw, c, f)`, `dbias (f)` or empty; both are
/// overwritten with the sums over groups of blocks, added up in order.
pub(crate) fn backward_weights(
    conv: &Conv,
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
    [dw, dbias]: [&mut [f32]; 2],
) {
    let [x_len, w_len, y_len] = conv.lens();
    let (x, dy) = (lanes(x), lanes(dy));
    let blocks = dy.len() / y_len;
    let group = group(blocks);
    let sums = &mut sums[..blocks.div_ceil(group) * sum_len(conv)];
    let groups = sums
        .par_chunks_mut(sum_len(conv))
        .zip(x.par_chunks(group * x_len))
        .zip(dy.par_chunks(group * y_len));
    groups.worth(flops(conv.flops(blocks * LANES))).for_each(|((sum, x), dy)| {
        let (dw, db) = sum.split_at_mut(w_len);
        // A single pixel under a kernel of one: with a larger one there are taps beside it.
        let Conv { channels: c, filters: f, .. } = *conv;
        if conv.lens() == [c, c * f, f] {
            dense::backward_weights(level(), [c, f], x, dy, dw, db);
        } else {
            conv_weights::backward_weights(level(), conv, x, dy, dw, db);
        }
    });
    let mut sums = sums.chunks_exact(sum_len(conv)).map(|sum| sum.split_at(w_len));
    let Some((first_dw, first_db)) = sums.next() else { return };
    dw.copy_from_slice(first_dw);
    dbias.iter_mut().zip(first_db).for_each(|(db, first)| *db = *first);
    for (more_dw, more_db) in sums {
        dw.iter_mut().zip(more_dw).for_each(|(dw, more)| *dw += more);
        dbias.iter_mut().zip(more_db).for_each(|(db, more)| *db += more);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, convs, dense};
    use super::*;
    use crate::kernels::window::{Padding, Window};

    #[test]
    fn gradients_of_several_groups_of_blocks_are_added_up() {
        // A kernel of two on a single pixel has as many weights as a dense layer of other sizes.
        let window = Window::new([1; 2], [1, 2], [1; 2], [1; 2], Padding::Same).unwrap();
        let two = Conv { window, ..dense(1, 1) };
        for conv in convs().into_iter().step_by(7).chain([dense(2, 3), two]) {
            let [x_len, w_len, y_len] = conv.lens();
            for blocks in [1, 3, 17] {
                let (x, dy) = (block(blocks * x_len, 1), block(blocks * y_len, 2));
                let gradients = |x: &[Lanes], dy: &[Lanes]| {
                    let mut sums = vec![f32::NAN; scratch_len(&conv, dy.len() / y_len * LANES)];
                    let (mut dw, mut db) = (vec![f32::NAN; w_len], vec![f32::NAN; conv.filters]);
                    let (x, dy) = (x.as_flattened(), dy.as_flattened());
                    backward_weights(&conv, x, dy, &mut sums, [&mut dw, &mut db]);
                    [dw, db].concat()
                };
                let mut want = vec![0.0; w_len + conv.filters];
                for (x, dy) in x.chunks(x_len).zip(dy.chunks(y_len)) {
                    want.iter_mut().zip(gradients(x, dy)).for_each(|(sum, term)| *sum += term);
                }
                assert_eq!(gradients(&x, &dy), want, "{blocks} blocks, {conv:?}");
            }
        }
    }
}
