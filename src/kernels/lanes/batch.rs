//! Convolutions and dense layers over all blocks of a batch, several at once.

use rayon::prelude::*;

use super::conv::{forward_rows, several_pixels};
use super::conv_input::{input_rows, turn};
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

/// Floats of scratch that [`backward_weights`] works in for `n` images: a sum for each group but the first.
pub(crate) fn scratch_len(conv: &Conv, n: usize) -> usize {
    let blocks = n.div_ceil(LANES);
    blocks.div_ceil(group(blocks)).saturating_sub(1) * sum_len(conv)
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
    let [x_len, w_len, y_len] = conv.lens();
    assert_eq!(w.len(), w_len, "{conv:?}");
    let bias = (!bias.is_empty()).then_some(bias);
    let [rows, _] = conv.window.output;
    each_piece(conv, y, [rows, y_len], x, x_len, |first, y, x| {
        forward_rows(level(), conv, x, w, bias, relu, first, y);
    });
}

/// Calls `f(first, piece, block)` for all blocks: pieces are `rows` of `to` from `first` on, and the block is
/// that of `from`. A block is several pieces, so that threads without one help those that have.
fn each_piece(
    conv: &Conv,
    to: &mut [f32],
    [rows, to_len]: [usize; 2],
    from: &[f32],
    from_len: usize,
    f: impl Fn(usize, &mut [Lanes], &[Lanes]) + Sync,
) {
    let (to, from) = (to.as_chunks_mut().0, lanes(from));
    let [all, block] = [to.len() / to_len, 1].map(|blocks| flops(conv.flops(blocks * LANES)));
    let some = rows.div_ceil(block.jobs());
    let blocks = to.par_chunks_exact_mut(to_len).zip(from.par_chunks_exact(from_len));
    blocks.worth(all).for_each(|(to, from)| {
        let pieces = to.par_chunks_mut(some * to_len / rows).enumerate();
        pieces.worth(block).for_each(|(i, piece)| f(i * some, piece, from));
    });
}

/// `dy (n/16, oh, ow, f, 16)`, `w (kh, kw, c, f)`, `dx (n/16, h, w, c, 16)`; `dx` is overwritten.
pub(crate) fn backward_input(conv: &Conv, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    if conv.window.strides == [1, 1]
        && conv.window.output != [1, 1]
        && several_pixels(level(), conv.channels)
    {
        // Channels are faster as filters, of which several pixels are made at once.
        return with_scratch(w.len(), |turned| {
            turn(conv, w, turned);
            forward(&conv.turned(), dy, turned, &[], false, dx);
        });
    }
    let [x_len, w_len, y_len] = conv.lens();
    assert_eq!(w.len(), w_len, "{conv:?}");
    let [rows, _] = conv.window.input;
    each_piece(conv, dx, [rows, x_len], dy, y_len, |first, dx, dy| {
        input_rows(level(), conv, dy, w, first, dx);
    });
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
    let sums = &mut sums[..scratch_len(conv, blocks * LANES)];
    let others = sums.par_chunks_exact_mut(sum_len(conv)).map(|sum| sum.split_at_mut(w_len));
    let groups = rayon::iter::once((&mut *dw, &mut *dbias))
        .chain(others)
        .zip(x.par_chunks(group * x_len))
        .zip(dy.par_chunks(group * y_len));
    groups.worth(flops(conv.flops(blocks * LANES))).for_each(|(((dw, db), x), dy)| {
        // A single pixel under a kernel of one: with a larger one there are taps beside it.
        let Conv { channels: c, filters: f, .. } = *conv;
        if conv.lens() == [c, c * f, f] {
            dense::backward_weights(level(), [c, f], x, dy, dw, db);
        } else {
            conv_weights::backward_weights(level(), conv, x, dy, dw, db);
        }
    });
    for (more_dw, more_db) in sums.chunks_exact(sum_len(conv)).map(|sum| sum.split_at(w_len)) {
        dw.iter_mut().zip(more_dw).for_each(|(dw, more)| *dw += more);
        dbias.iter_mut().zip(more_db).for_each(|(db, more)| *db += more);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, convs, dense, each_product};
    use super::*;
    use crate::kernels::parallel::assert_same_bits;
    use crate::kernels::window::testing::floats;
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

    /// Blocks that are worth several jobs, with a last piece that is smaller; two channels and filters are
    /// worked on several pixels at once.
    #[test]
    fn pieces_of_a_block_are_the_naive_convolution() {
        for (c, f, [h, w]) in [(7, 9, [11, 12]), (2, 2, [41, 40])] {
            let window = Window::new([h, w], [5, 5], [1; 2], [1; 2], Padding::Same).unwrap();
            let conv = Conv { window, ..dense(c, f) };
            assert!((3..h).contains(&flops(conv.flops(LANES)).jobs()));
            let [x_len, w_len, y_len] = conv.lens();
            let (x, dy, w) = (block(2 * x_len, 1), block(2 * y_len, 2), floats(w_len, 3));
            let mut y = vec![[0.0; LANES]; dy.len()];
            let (mut dx, mut dw, mut db) =
                (vec![[0.0; LANES]; x.len()], vec![0.0; w_len], vec![0.0; f]);
            for block in 0..2 {
                each_product(&conv, |i, j, k| {
                    let (i, k) = (block * x_len + i, block * y_len + k);
                    for lane in 0..LANES {
                        y[k][lane] += x[i][lane] * w[j];
                        dx[i][lane] += dy[k][lane] * w[j];
                        dw[j] += x[i][lane] * dy[k][lane];
                    }
                });
            }
            for (i, dy) in dy.iter().enumerate() {
                db[i % f] += dy.iter().sum::<f32>();
            }
            let want = [y.as_flattened(), dx.as_flattened(), &dw, &db].concat();
            let (x, dy) = (x.as_flattened(), dy.as_flattened());
            assert_same_bits(|| {
                let [mut y, mut dx] = [dy, x].map(|like| vec![f32::NAN; like.len()]);
                forward(&conv, x, &w, &[], false, &mut y);
                backward_input(&conv, dy, &w, &mut dx);
                let mut sums = vec![f32::NAN; scratch_len(&conv, 2 * LANES)];
                let (mut dw, mut db) = (vec![f32::NAN; w_len], vec![f32::NAN; f]);
                backward_weights(&conv, x, dy, &mut sums, [&mut dw, &mut db]);
                let got = [y, dx, dw, db].concat();
                assert_eq!(got, want, "{c} channels");
                got
            });
        }
    }
}
