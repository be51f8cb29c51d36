//! `dw = windows(x)ᵀ · dy` and `db`, the sum of `dy` over pixels.

use std::ops::Range;

use rayon::prelude::*;

use super::rows::{Rows, Source};
use super::vector::Vector;
use super::{Conv, TASK, by_size, panels, pieces, widest_panel};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;

/// Output pixels whose `dy` is packed at a time: 16 KB of 32 filters, half the smallest L1 cache.
const BAND: usize = 128;

/// Tasks that keep many threads busy. Where panels and kernel rows make fewer, the batch is cut too.
const TASKS: usize = 32;

/// Floats of scratch that [`backward_weights`] wants for `n` images.
pub(crate) fn backward_weights_scratch(level: Level, conv: &Conv, n: usize) -> usize {
    let gradient = Gradient::new(level, conv, n);
    gradient.shards * gradient.panels * gradient.source.runs()[0] * gradient.slab_len()
}

/// `dw (kh·kw·c, f) = windows(x)ᵀ (kh·kw·c, n·oh·ow) · dy (n·oh·ow, f)`, and `db (f)`.
///
/// A task is a panel of filters and a row of the kernel, so that nothing has to be summed over tasks
/// but the shards of the batch, in their order.
pub(crate) fn backward_weights(
    level: Level,
    conv: &Conv,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let n = dy.len() / conv.output_len();
    let (f, [kh, kw]) = (conv.filters, conv.window.kernel);
    assert_eq!((x.len(), dy.len()), (n * conv.input_len(), n * conv.output_len()));
    assert_eq!((dw.len(), db.len()), (conv.depth() * f, f));
    assert_eq!(scratch.len(), backward_weights_scratch(level, conv, n));
    let gradient = Gradient::new(level, conv, n);
    let (slab_len, widest) = (gradient.slab_len(), widest_panel(level));

    scratch.par_chunks_mut(slab_len).enumerate().for_each(|(task, slab)| {
        let (rest, ky) = (task / kh, task % kh);
        let (shard, panel) = (rest / gradient.panels, rest % gradient.panels);
        let images = n * shard / gradient.shards..n * (shard + 1) / gradient.shards;
        slab.fill(0.0);
        for image in images {
            let x = &x[image * conv.input_len()..][..conv.input_len()];
            let dy = &dy[image * conv.output_len()..][..conv.output_len()];
            gradient.add_image(level, x, dy, ky, panel * widest, slab);
        }
    });

    let shards = |ky: usize, row: usize, panel: usize| {
        let slabs =
            scratch.chunks_exact(slab_len).skip(panel * kh + ky).step_by(gradient.panels * kh);
        slabs.map(move |slab| &slab[row * widest..][..widest])
    };
    let add = |sums: &mut [f32], ky: usize, row: usize| {
        sums.fill(0.0);
        for (panel, sums) in sums.chunks_mut(widest).enumerate() {
            for terms in shards(ky, row, panel) {
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum += term;
                }
            }
        }
    };
    let run = kw * conv.channels;
    let rows = dw.par_chunks_mut(f).with_min_len((TASK / 32).div_ceil(f));
    rows.enumerate().for_each(|(k, dw)| add(dw, k / run, k % run));
    add(db, 0, run);
}

/// How the work is cut. Each task has a slab of scratch, `(kw·c + 1, widest panel)`: a row of the
/// kernel for one panel of filters; its last row is the sum of `dy`.
struct Gradient {
    source: Source,
    output: [usize; 2],
    filters: usize,
    level: Level,
    panels: usize,
    /// Parts of the batch; depends on the shape alone, as the order of the sums does.
    shards: usize,
}

impl Gradient {
    fn new(level: Level, conv: &Conv, n: usize) -> Self {
        let (output, filters) = (conv.window.output, conv.filters);
        let panels = panels(level, filters).count();
        let work = n * conv.output_len() * conv.depth();
        let cuts = TASKS.div_ceil(panels * conv.window.kernel[0]).min(n);
        let shards = (work / TASK).min(cuts).max(1);
        Self { source: Source::of_forward(conv), output, filters, level, panels, shards }
    }

    fn slab_len(&self) -> usize {
        let [_, runs, run] = self.source.runs();
        (runs * run + 1) * widest_panel(self.level)
    }

    /// Adds the gradient of the weights of kernel row `ky` and of the panel at filter `first`.
    fn add_image(
        &self,
        level: Level,
        x: &[f32],
        dy: &[f32],
        ky: usize,
        first: usize,
        slab: &mut [f32],
    ) {
        let [oh, ow] = self.output;
        let (f, widest) = (self.filters, widest_panel(level));
        let used = widest.min(f - first);
        for (oy, rows) in pieces(oh, (BAND / ow).max(1)) {
            with_scratch(rows * ow * widest, |packed| {
                let dy = &dy[oy * ow * f..][..rows * ow * f];
                let mut sums = [0.0; 32];
                for (to, from) in packed.chunks_exact_mut(widest).zip(dy.chunks_exact(f)) {
                    let from = &from[first..][..used];
                    to[..used].copy_from_slice(from);
                    to[used..].fill(0.0);
                    for (sum, term) in sums.iter_mut().zip(from) {
                        *sum += term;
                    }
                }
                let (slab, db) = slab.split_at_mut(slab.len() - widest);
                for (db, sum) in db.iter_mut().zip(&sums) {
                    *db += sum;
                }
                let band = oy..oy + rows;
                self.source.with_rows(x, band.clone(), ky..ky + 1, |x| {
                    self.add_band(level, &x, band, packed, ky, used, slab);
                });
            });
        }
    }

    #[allow(unsafe_code)]
    fn add_band(
        &self,
        level: Level,
        x: &Rows,
        oy: Range<usize>,
        dy: &[f32],
        ky: usize,
        used: usize,
        slab: &mut [f32],
    ) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{__m256, __m512};

            type Band<'a> = (&'a Rows<'a>, Range<usize>, &'a [f32], usize);

            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            fn avx512(gradient: &Gradient, band: Band, used: usize, slab: &mut [f32]) {
                if used > 16 {
                    gradient.tiles_14::<__m512, 2>(band.0, band.1, band.2, band.3, slab);
                } else {
                    gradient.tiles_14::<__m512, 1>(band.0, band.1, band.2, band.3, slab);
                }
            }
            #[target_feature(enable = "avx2,fma")]
            fn avx2(gradient: &Gradient, band: Band, slab: &mut [f32]) {
                gradient.tiles_6::<__m256>(band.0, band.1, band.2, band.3, slab);
            }
            match level {
                // SAFETY: a level above `Plain` is only made where detection found its features.
                Level::Avx512 => return unsafe { avx512(self, (x, oy, dy, ky), used, slab) },
                // SAFETY: as above.
                Level::Avx2 => return unsafe { avx2(self, (x, oy, dy, ky), slab) },
                Level::Plain => {}
            }
        }
        self.tiles_6::<[f32; 4]>(x, oy, dy, ky, slab);
    }

    /// Tiles of up to 14 rows of the weights by `N` vectors: 28 of 32 registers.
    #[inline(always)]
    fn tiles_14<V: Vector, const N: usize>(
        &self,
        x: &Rows,
        oy: Range<usize>,
        dy: &[f32],
        ky: usize,
        slab: &mut [f32],
    ) {
        let [_, runs, run] = self.source.runs();
        for i in 0..runs {
            for (k, rows) in pieces(run, 14) {
                let at = i * self.source.run_step() + k;
                let slab = &mut slab[(i * run + k) * widest_panel(self.level)..];
                by_size!(rows, 1 2 3 4 5 6 7 8 9 10 11 12 13 14, K => {
                    self.tile::<V, K, N>(x, oy.clone(), dy, ky, at, slab)
                });
            }
        }
    }

    /// Tiles of up to 6 rows of the weights by 2 vectors: 12 of 16 registers.
    #[inline(always)]
    fn tiles_6<V: Vector>(
        &self,
        x: &Rows,
        oy: Range<usize>,
        dy: &[f32],
        ky: usize,
        slab: &mut [f32],
    ) {
        let [_, runs, run] = self.source.runs();
        for i in 0..runs {
            for (k, rows) in pieces(run, 6) {
                let at = i * self.source.run_step() + k;
                let slab = &mut slab[(i * run + k) * widest_panel(self.level)..];
                by_size!(rows, 1 2 3 4 5 6, K => {
                    self.tile::<V, K, 2>(x, oy.clone(), dy, ky, at, slab)
                });
            }
        }
    }

    /// `slab (K, N vectors) += x at `at` in each window (pixels, K)ᵀ · dy (pixels, N vectors)`.
    #[inline(always)]
    fn tile<V: Vector, const K: usize, const N: usize>(
        &self,
        x: &Rows,
        oy: Range<usize>,
        dy: &[f32],
        ky: usize,
        at: usize,
        slab: &mut [f32],
    ) {
        let (ow, step, widest) =
            (self.output[1], self.source.window_step(), widest_panel(self.level));
        let mut sums = [[V::splat(0.0); N]; K];
        for (oy, dy) in oy.zip(dy.chunks_exact(ow * widest)) {
            let Some(row) = self.source.row(oy, ky) else { continue };
            let x = &x.floats[x.start(row) + at..];
            for ox in 0..ow {
                let x = &x[ox * step..][..K];
                let dy = &dy[ox * widest..][..N * V::LANES];
                let dy: [V; N] = std::array::from_fn(|j| V::load(&dy[j * V::LANES..]));
                for k in 0..K {
                    let x = V::splat(x[k]);
                    for j in 0..N {
                        sums[k][j] = sums[k][j].plus_product(x, dy[j]);
                    }
                }
            }
        }
        for k in 0..K {
            for j in 0..N {
                let slab = &mut slab[k * widest + j * V::LANES..];
                sums[k][j].plus(V::load(slab)).store(slab);
            }
        }
    }
}
