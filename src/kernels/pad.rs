//! Zeros round images, and the way back.

use super::parallel::{Worth, bytes};
use rayon::prelude::*;

/// Images of `(h, w, c)` and the rows and columns put round them: `[[above, below], [left, right]]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pad {
    pub(crate) image: [usize; 3],
    pub(crate) margins: [[usize; 2]; 2],
}

impl Pad {
    /// `x (n, h, w, c)`, `y (n, above + h + below, left + w + right, c)`.
    pub(crate) fn forward(&self, x: &[f32], y: &mut [f32]) {
        let ([from, to], [row, wide], start) = self.lens();
        let work = bytes(8 * y.len());
        y.par_chunks_exact_mut(to).zip(x.par_chunks(from)).worth(work).for_each(|(y, x)| {
            y.fill(0.0);
            let inner = y[start..].chunks_mut(wide);
            inner.zip(x.chunks_exact(row)).for_each(|(y, x)| y[..row].copy_from_slice(x));
        });
    }

    /// `dx` is the inner part of `dy`.
    pub(crate) fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        let ([from, to], [row, wide], start) = self.lens();
        let work = bytes(8 * dx.len());
        dx.par_chunks_exact_mut(from).zip(dy.par_chunks(to)).worth(work).for_each(|(dx, dy)| {
            let inner = dy[start..].chunks(wide);
            dx.chunks_exact_mut(row).zip(inner).for_each(|(dx, dy)| dx.copy_from_slice(&dy[..row]));
        });
    }

    /// Floats of an image before and after, of a row before and after, and where the first lies.
    fn lens(&self) -> ([usize; 2], [usize; 2], usize) {
        let ([h, w, c], [[above, below], [left, right]]) = (self.image, self.margins);
        let wide = (left + w + right) * c;
        ([h * w * c, (above + h + below) * wide], [w * c, wide], above * wide + left * c)
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::testing::{floats, on_threads};
    use super::*;

    #[test]
    fn every_cell_goes_to_its_place() {
        for image @ [h, w, c] in [[1, 1, 1], [3, 4, 2], [5, 2, 17], [40, 41, 16]] {
            for margins @ [[above, below], [left, right]] in
                [[[0, 0], [0, 0]], [[1, 1], [1, 1]], [[2, 0], [0, 3]], [[0, 5], [1, 0]]]
            {
                let (n, pad) = (5, Pad { image, margins });
                let (oh, ow) = (above + h + below, left + w + right);
                let [x, dy] = [floats(n * h * w * c, 1), floats(n * oh * ow * c, 2)];
                let [mut want_y, mut want_dx] = [vec![0.0; dy.len()], vec![f32::NAN; x.len()]];
                for i in 0..x.len() {
                    let (image, row, column) = (i / c / w / h, i / c / w % h, i / c % w);
                    let at = ((image * oh + above + row) * ow + left + column) * c + i % c;
                    (want_y[at], want_dx[i]) = (x[i], dy[at]);
                }
                for (y, dx) in on_threads(|| {
                    let [mut y, mut dx] = [&dy, &x].map(|of| vec![f32::NAN; of.len()]);
                    pad.forward(&x, &mut y);
                    pad.backward(&dy, &mut dx);
                    (y, dx)
                }) {
                    assert_eq!((&y, &dx), (&want_y, &want_dx), "{pad:?}");
                }
            }
        }
    }
}
