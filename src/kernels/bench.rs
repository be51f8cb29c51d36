//! A door for the benches, hidden and no part of the API. A model runs its kernels all together, so
//! that the gradients of one convolution cannot be timed through it.

use super::buffer::Buffer;
use super::conv::Conv;
use super::lanes::transpose::{from_lanes, to_lanes};
use super::lanes::{LANES, worth_lanes};
use super::layout::Layout;
use super::window::{Padding, Window};

pub use super::lanes::peak::peak;

/// A convolution and its arrays, laid out as a model lays them out.
#[derive(Debug)]
pub struct Convolution {
    conv: Conv,
    n: usize,
    layout: Layout,
    w: Buffer,
    bias: Buffer,
    dw: Buffer,
    dbias: Buffer,
    scratch: Buffer,
    /// `x`, `dx`, `y` and `dy`.
    images: [Buffer; 4],
}

impl Convolution {
    /// Of images `[n, h, w, c]`, with square kernels that fit.
    pub fn new([n, h, w, c]: [usize; 4], f: usize, k: usize, s: usize, padding: Padding) -> Self {
        let window = Window::new([h, w], [k; 2], [s; 2], [1; 2], padding).expect("it fits");
        let conv = Conv { window, channels: c, filters: f, exact: false };
        let lanes = worth_lanes(n) && conv.few_filters();
        let layout = if lanes { Layout::Lanes } else { Layout::Rows };
        let [x, y] = [conv.input_len(), conv.output_len()].map(|size| layout.floats(n, size));
        let [w, bias] = [conv.depth() * f, f].map(Buffer::zeros);
        let scratch = Buffer::zeros(conv.scratch_len(layout, n));
        let images = [x, x, y, y].map(Buffer::zeros);
        Self { conv, n, layout, dw: w.clone(), dbias: bias.clone(), w, bias, scratch, images }
    }

    /// Additions and multiplications, as many in each direction.
    pub fn flops(&self) -> usize {
        self.conv.flops(self.n)
    }

    /// Sets `x (n, h, w, c)`, `w (kh, kw, c, f)` and `dy (n, oh, ow, f)`.
    pub fn set(&mut self, x: &[f32], w: &[f32], dy: &[f32]) {
        self.w.copy_from_slice(w);
        for (rows, to) in [(x, 0), (dy, 3)] {
            let (to, size) = (&mut self.images[to], rows.len() / self.n);
            match self.layout {
                Layout::Rows => to.copy_from_slice(rows),
                Layout::Lanes => {
                    let blocks = to.as_chunks_mut().0.chunks_exact_mut(size);
                    blocks.zip(rows.chunks(LANES * size)).for_each(|(to, from)| to_lanes(from, to));
                }
            }
        }
    }

    /// What was computed: `y`, `dx` and `dw`, shaped as in [`set`](Self::set).
    pub fn results(&self) -> [Vec<f32>; 3] {
        let rows = |from: &Buffer, size: usize| {
            let mut rows = vec![0.0; self.n * size];
            match self.layout {
                Layout::Rows => rows.copy_from_slice(from),
                Layout::Lanes => {
                    let blocks = from.as_chunks().0.chunks_exact(size);
                    blocks
                        .zip(rows.chunks_mut(LANES * size))
                        .for_each(|(from, to)| from_lanes(from, to));
                }
            }
            rows
        };
        let [_, dx, y, _] = &self.images;
        [rows(y, self.conv.output_len()), rows(dx, self.conv.input_len()), self.dw.to_vec()]
    }

    /// `y` from `x`.
    pub fn forward(&mut self) {
        let [x, _, y, _] = &mut self.images;
        self.conv.forward(self.layout, x, &self.w, &self.bias, false, y);
    }

    /// `dx` from `dy`.
    pub fn backward_input(&mut self) {
        let [_, dx, _, dy] = &mut self.images;
        self.conv.backward_input(self.layout, dy, &self.w, dx);
    }

    /// `dw` and the gradient of the bias from `x` and `dy`.
    pub fn backward_weights(&mut self) {
        let [x, _, _, dy] = &self.images;
        let gradients = [&mut *self.dw, &mut *self.dbias];
        self.conv.backward_weights(self.layout, x, dy, &mut self.scratch, gradients);
    }
}
