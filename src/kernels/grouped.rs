//! Convolution in groups: a group of the filters sees a group of the channels only. The groups are
//! taken out of the batch, each goes the way of [`Conv`], and what comes out is put together.

use super::buffer::with_scratch;
use super::conv::Conv;
use super::layout::Layout;
use super::parallel::{Worth, bytes};
use rayon::prelude::*;

/// So many equal convolutions side by side. The kernel is `(kh, kw, c/groups, f)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grouped {
    /// The convolution of one group.
    pub(crate) conv: Conv,
    pub(crate) groups: usize,
}

impl Grouped {
    /// As [`Conv::forward`]. Several groups are for rows only.
    pub(crate) fn forward(
        &self,
        layout: Layout,
        x: &[f32],
        w: &[f32],
        bias: &[f32],
        relu: bool,
        y: &mut [f32],
    ) {
        let Self { conv, groups } = *self;
        if groups == 1 {
            return conv.forward(layout, x, w, bias, relu, y);
        }
        let (xs, ws, ys) = (x.len() / groups, w.len() / groups, y.len() / groups);
        with_scratch(xs + ws + ys, |scratch| {
            let [xs, ws, ys] = split(scratch, [xs, ws, ys]);
            for group in 0..groups {
                self.take(x, group, conv.channels, xs);
                self.take(w, group, conv.filters, ws);
                let bias = if bias.is_empty() { bias } else { self.part(bias, group) };
                conv.forward(layout, xs, ws, bias, relu, ys);
                self.put(ys, group, conv.filters, y);
            }
        });
    }

    /// As [`Conv::backward_input`].
    pub(crate) fn backward_input(&self, layout: Layout, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        let Self { conv, groups } = *self;
        if groups == 1 {
            return conv.backward_input(layout, dy, w, dx);
        }
        let (dys, ws, dxs) = (dy.len() / groups, w.len() / groups, dx.len() / groups);
        with_scratch(dys + ws + dxs, |scratch| {
            let [dys, ws, dxs] = split(scratch, [dys, ws, dxs]);
            for group in 0..groups {
                self.take(dy, group, conv.filters, dys);
                self.take(w, group, conv.filters, ws);
                conv.backward_input(layout, dys, ws, dxs);
                self.put(dxs, group, conv.channels, dx);
            }
        });
    }

    /// As [`Conv::backward_weights`].
    pub(crate) fn backward_weights(
        &self,
        layout: Layout,
        x: &[f32],
        dy: &[f32],
        scratch: &mut [f32],
        [dw, dbias]: [&mut [f32]; 2],
    ) {
        let Self { conv, groups } = *self;
        if groups == 1 {
            return conv.backward_weights(layout, x, dy, scratch, [dw, dbias]);
        }
        let parts = [x.len() / groups, dy.len() / groups, dw.len() / groups];
        let (mine, scratch) = scratch.split_at_mut(parts.iter().sum());
        let [xs, dys, dws] = split(mine, parts);
        for group in 0..groups {
            self.take(x, group, conv.channels, xs);
            self.take(dy, group, conv.filters, dys);
            let of_group = group * dbias.len() / groups..(group + 1) * dbias.len() / groups;
            conv.backward_weights(layout, xs, dys, scratch, [&mut *dws, &mut dbias[of_group]]);
            self.put(dws, group, conv.filters, dw);
        }
    }

    /// Floats of scratch that `backward_weights` works in.
    pub(crate) fn scratch_len(&self, layout: Layout, n: usize) -> usize {
        let one = self.conv.scratch_len(layout, n);
        match self.groups {
            1 => one,
            _ => {
                let Conv { filters, .. } = self.conv;
                let images = n * (self.conv.input_len() + self.conv.output_len());
                one + images + self.conv.depth() * filters
            }
        }
    }

    /// The numbers of one group among numbers that each belong to a filter.
    fn part<'a>(&self, of_filters: &'a [f32], group: usize) -> &'a [f32] {
        &of_filters[group * self.conv.filters..][..self.conv.filters]
    }

    /// Copies the `group`th of the equal parts, `width` floats, of each row of `all`.
    fn take(&self, all: &[f32], group: usize, width: usize, part: &mut [f32]) {
        let (row, rows) = (self.groups * width, rows(width));
        let work = bytes(8 * part.len());
        let pieces = part.par_chunks_mut(rows * width).zip(all.par_chunks(rows * row));
        pieces.worth(work).for_each(|(part, all)| {
            for (part, all) in part.chunks_exact_mut(width).zip(all.chunks_exact(row)) {
                part.copy_from_slice(&all[group * width..][..width]);
            }
        });
    }

    /// The way back of [`take`](Self::take).
    fn put(&self, part: &[f32], group: usize, width: usize, all: &mut [f32]) {
        let (row, rows) = (self.groups * width, rows(width));
        let work = bytes(8 * part.len());
        let pieces = all.par_chunks_mut(rows * row).zip(part.par_chunks(rows * width));
        pieces.worth(work).for_each(|(all, part)| {
            for (all, part) in all.chunks_exact_mut(row).zip(part.chunks_exact(width)) {
                all[group * width..][..width].copy_from_slice(part);
            }
        });
    }
}

/// Rows that are copied in one piece: some 64 KB.
fn rows(width: usize) -> usize {
    (super::parallel::CHUNK / width).max(1)
}

/// Three parts of these lengths, which together are all.
fn split(floats: &mut [f32], [a, b, _]: [usize; 3]) -> [&mut [f32]; 3] {
    let (first, rest) = floats.split_at_mut(a);
    let (second, third) = rest.split_at_mut(b);
    [first, second, third]
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::super::window::testing::{floats, windows};
    use super::super::window::{Padding, Window};
    use super::*;

    /// The one convolution that computes the same: its kernel is 0 from a group's channels to
    /// another group's filters.
    fn whole(grouped: &Grouped, w: &[f32]) -> (Conv, Vec<f32>) {
        let Grouped { conv, groups } = *grouped;
        let [c, f] = [groups * conv.channels, groups * conv.filters];
        let mut whole = vec![0.0; w.len() * groups];
        for (i, w) in w.iter().enumerate() {
            let (tap, channel, filter) = (i / f / conv.channels, i / f % conv.channels, i % f);
            let channel = filter / conv.filters * conv.channels + channel;
            whole[(tap * c + channel) * f + filter] = *w;
        }
        (Conv { channels: c, filters: f, exact: true, ..conv }, whole)
    }

    fn close(found: &[f32], wanted: &[f32], what: &str, grouped: &Grouped) {
        let largest = wanted.iter().fold(1e-3f32, |largest, w| largest.max(w.abs()));
        for (found, wanted) in found.iter().zip(wanted) {
            let error = (found - wanted).abs();
            assert!(error <= 2e-5 * largest, "{what} of {grouped:?}: {found}, not {wanted}");
        }
    }

    /// `y`, `dx`, `dw` and `dbias` of `n` images.
    fn run(grouped: &Grouped, [x, dy, w, bias]: [&[f32]; 4], n: usize) -> [Vec<f32>; 4] {
        let [mut y, mut dx, mut dw, mut db] = [dy, x, w, bias].map(|of| vec![f32::NAN; of.len()]);
        let mut scratch = vec![f32::NAN; grouped.scratch_len(Layout::Rows, n)];
        grouped.forward(Layout::Rows, x, w, bias, true, &mut y);
        grouped.backward_input(Layout::Rows, dy, w, &mut dx);
        grouped.backward_weights(Layout::Rows, x, dy, &mut scratch, [&mut dw, &mut db]);
        [y, dx, dw, db]
    }

    fn data(grouped: &Grouped, n: usize) -> [Vec<f32>; 4] {
        let Grouped { conv, groups } = *grouped;
        let lens = [n * conv.input_len(), n * conv.output_len(), conv.depth() * conv.filters];
        let [x, dy, w] = lens.map(|len| floats(groups * len, 1 + len as u32));
        [x, dy, w, floats(groups * conv.filters, 4)]
    }

    #[test]
    fn equals_one_convolution_with_zeros_between_the_groups() {
        let few = [[1, 1, 3], [2, 3, 2], [1, 2, 4]].into_iter().flat_map(|[c, f, groups]| {
            windows().into_iter().map(move |window| (window, c, f, groups))
        });
        // Enough of both for Winograd's way.
        let many = Window::new([7, 9], [3; 2], [1; 2], [1; 2], Padding::Same).unwrap();
        for (window, channels, filters, groups) in few.chain([(many, 33, 40, 2)]) {
            let conv = Conv { window, channels, filters, exact: false };
            let grouped = Grouped { conv, groups };
            let n = 3;
            let [x, dy, w, bias] = data(&grouped, n);
            let [y, dx, dw, db] = run(&grouped, [&x, &dy, &w, &bias], n);

            let (conv, all) = whole(&grouped, &w);
            let [want_y, want_dx, want_dw, want_db] =
                run(&Grouped { conv, groups: 1 }, [&x, &dy, &all, &bias], n);
            close(&y, &want_y, "y", &grouped);
            close(&dx, &want_dx, "dx", &grouped);
            close(&db, &want_db, "dbias", &grouped);
            let (_, mask) = whole(&grouped, &vec![1.0; w.len()]);
            let (_, dw) = whole(&grouped, &dw);
            let want_dw: Vec<f32> = want_dw.iter().zip(mask).map(|(dw, mask)| dw * mask).collect();
            close(&dw, &want_dw, "dw", &grouped);
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let window = Window::new([27, 27], [5; 2], [1; 2], [1; 2], Padding::Same).unwrap();
        let conv = Conv { window, channels: 8, filters: 6, exact: false };
        let grouped = Grouped { conv, groups: 3 };
        let [x, dy, w, bias] = data(&grouped, 20);
        assert_same_bits(|| run(&grouped, [&x, &dy, &w, &bias], 20).concat());
    }
}
