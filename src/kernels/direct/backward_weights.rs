//! `dw = windows(x)ᵀ · dy` and `db`, the sum of `dy` over pixels.

use std::ops::Range;

use rayon::prelude::*;

use super::rows::Rows;
use super::{Conv, by_size, panels, pieces, widest_panel};
use crate::kernels::buffer::with_scratch;
use crate::kernels::parallel::{Worth, bytes, flops};
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};

/// Output pixels whose `dy` is packed at a time: 16 KB of 32 filters, half the smallest L1 cache.
const BAND: usize = 128;

/// Multiply-adds that are worth a slab of their own, which has to be cleared and summed up.
const SHARD: usize = 1 << 20;

/// Tasks that keep many threads busy. Where there are fewer panels of filters, the batch is cut too.
const TASKS: usize = 32;

/// Floats of scratch that [`backward_weights`] wants for `n` images.
pub(crate) fn backward_weights_scratch(level: Level, conv: &Conv, n: usize) -> usize {
    let gradient = Gradient::new(level, conv, n);
    gradient.shards * gradient.panels * gradient.slab_len()
}

/// `dw (kh·kw·c, f) = windows(x)ᵀ (kh·kw·c, n·oh·ow) · dy (n·oh·ow, f)`, and `db (f)` unless it is empty.
///
/// A task is a panel of filters and a shard of the batch; the sum over shards is taken in their
/// order.
pub(crate) fn backward_weights(
    level: Level,
    conv: &Conv,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let (n, f) = (dy.len() / conv.output_len(), conv.filters);
    assert_eq!((x.len(), dy.len()), (n * conv.input_len(), n * conv.output_len()));
    assert_eq!(dw.len(), conv.depth() * f);
    assert!(db.len() == f || db.is_empty());
    assert_eq!(scratch.len(), backward_weights_scratch(level, conv, n));
    let gradient = Gradient::new(level, conv, n);
    let Gradient { panels, bands, shards, widest, .. } = gradient;
    let slab_len = gradient.slab_len();

    let tasks = scratch.par_chunks_mut(slab_len).enumerate();
    tasks.worth(flops(2 * dy.len() * conv.depth())).for_each(|(task, slab)| {
        let (shard, panel) = (task / panels, task % panels);
        slab.fill(0.0);
        for band in n * bands * shard / shards..n * bands * (shard + 1) / shards {
            let (image, band) = (band / bands, band % bands);
            let x = &x[image * conv.input_len()..][..conv.input_len()];
            let dy = &dy[image * conv.output_len()..][..conv.output_len()];
            gradient.add_band(x, dy, band, panel, slab);
        }
    });

    let sum_shards = |k: usize, sums: &mut [f32]| {
        for (panel, sums) in sums.chunks_mut(widest).enumerate() {
            sums.fill(0.0);
            for slab in scratch.chunks_exact(slab_len).skip(panel).step_by(panels) {
                for (sum, term) in sums.iter_mut().zip(&slab[k * widest..][..widest]) {
                    *sum += term;
                }
            }
        }
    };
    let rows = dw.par_chunks_mut(f).enumerate();
    rows.worth(bytes(4 * scratch.len())).for_each(|(k, dw)| sum_shards(k, dw));
    sum_shards(conv.depth(), db);
}

/// How the work is cut. Each task has a slab of scratch, `(kh·kw·c + 1, widest)`: the gradient of one
/// panel of filters from one shard of the batch, and in the last row the sum of `dy`.
struct Gradient {
    level: Level,
    conv: Conv,
    panels: usize,
    widest: usize,
    /// Pieces of an image, each some rows of outputs.
    bands: usize,
    /// Parts of the batch. Depends on the shapes alone, as the order of the sums does.
    shards: usize,
}

/// Some rows of outputs, the rows of `x` under their windows, and their `dy (pixels, width)`.
struct Band<'a> {
    oy: Range<usize>,
    x: &'a Rows<'a>,
    dy: &'a [f32],
    width: usize,
}

/// Some rows of the weights in one row of the kernel.
struct Tile {
    ky: usize,
    /// Where the first is in the row of `x` under a window, in floats from the window's edge.
    at: usize,
    /// The first in the matrix of weights.
    k: usize,
    rows: usize,
}

with_vectors! {
    fn add_products(gradient: &Gradient, band: &Band<'_>, slab: &mut [f32]) =
        Gradient::add_products::<V>
}

with_vectors! {
    fn pack(dy: &[f32], f: usize, first: usize, packed: &mut [f32], width: usize, db: &mut [f32]) =
        pack_body::<V>
}

/// Copies a panel, `width` filters from `first` on, of all pixels of `dy (pixels, f)` to `packed (pixels, width)`,
/// zeros behind the last filter, and adds their sums over the pixels to `db (width)`.
#[inline(always)]
fn pack_body<V: Vector>(
    dy: &[f32],
    f: usize,
    first: usize,
    packed: &mut [f32],
    width: usize,
    db: &mut [f32],
) {
    let used = width.min(f - first);
    let pixels = packed.chunks_exact_mut(width).zip(dy.chunks_exact(f));
    let pixels = pixels.map(|(to, dy)| (to, &dy[first..][..used]));
    if used == V::LANES {
        copy_and_sum::<[V; 1]>(pixels, db);
    } else if used == 2 * V::LANES {
        copy_and_sum::<[V; 2]>(pixels, db);
    } else {
        let mut sums = [0.0; 32];
        for (to, from) in pixels {
            to[..used].copy_from_slice(from);
            to[used..].fill(0.0);
            sums.iter_mut().zip(from).for_each(|(sum, term)| *sum += term);
        }
        db.iter_mut().zip(&sums).for_each(|(db, sum)| *db += sum);
    }
}

/// Copies vectors and adds their sum to `db`.
#[inline(always)]
fn copy_and_sum<'a, V: Vector>(
    pixels: impl Iterator<Item = (&'a mut [f32], &'a [f32])>,
    db: &mut [f32],
) {
    let mut sums = V::splat(0.0);
    for (to, from) in pixels {
        let dy = V::load(from);
        dy.store(to);
        sums = sums.plus(dy);
    }
    sums.plus(V::load(db)).store(db);
}

impl Gradient {
    fn new(level: Level, conv: &Conv, n: usize) -> Self {
        let panels = panels(widest_panel(level), conv.filters).count();
        let [oh, ow] = conv.window.output;
        let bands = oh.div_ceil((BAND / ow).max(1));
        let work = n * conv.output_len() * conv.depth();
        Self {
            level,
            conv: *conv,
            panels,
            widest: widest_panel(level),
            bands,
            shards: (work / SHARD).min(TASKS.div_ceil(panels)).min(n * bands).max(1),
        }
    }

    fn slab_len(&self) -> usize {
        (self.conv.depth() + 1) * self.widest
    }

    /// Adds the gradient of a panel from a band of an image.
    fn add_band(&self, x: &[f32], dy: &[f32], band: usize, panel: usize, slab: &mut [f32]) {
        let ([oh, ow], f) = (self.conv.window.output, self.conv.filters);
        let (first, width) = panels(self.widest, f).nth(panel).unwrap();
        let oy = oh * band / self.bands..oh * (band + 1) / self.bands;
        let dy = &dy[oy.start * ow * f..oy.end * ow * f];
        let (slab, db) = slab.split_at_mut(slab.len() - self.widest);
        with_scratch(oy.len() * ow * width, |packed| {
            pack(self.level, dy, f, first, packed, width, db);
            self.conv.with_rows(x, oy.clone(), |x| {
                add_products(self.level, self, &Band { oy, x: &x, dy: packed, width }, slab);
            });
        });
    }

    #[inline(always)]
    fn add_products<V: Vector>(&self, band: &Band, slab: &mut [f32]) {
        if V::LANES < 16 {
            self.tiles_6::<V>(band, slab);
        } else if band.width > V::LANES {
            self.tiles_14::<V, 2>(band, slab);
        } else {
            self.tiles_14::<V, 1>(band, slab);
        }
    }

    /// Tiles of up to 14 rows of the weights by `N` vectors: 28 of 32 registers.
    #[inline(always)]
    fn tiles_14<V: Vector, const N: usize>(&self, band: &Band, slab: &mut [f32]) {
        for Tile { ky, at, k, rows } in self.tiles(14) {
            let slab = &mut slab[k * self.widest..];
            by_size!(rows, 1 2 3 4 5 6 7 8 9 10 11 12 13 14, K => {
                self.tile::<V, K, N>(band, ky, at, slab)
            });
        }
    }

    /// Tiles of up to 6 rows of the weights by 2 vectors: 12 of 16 registers.
    #[inline(always)]
    fn tiles_6<V: Vector>(&self, band: &Band, slab: &mut [f32]) {
        for Tile { ky, at, k, rows } in self.tiles(6) {
            let slab = &mut slab[k * self.widest..];
            by_size!(rows, 1 2 3 4 5 6, K => self.tile::<V, K, 2>(band, ky, at, slab));
        }
    }

    fn tiles(&self, most: usize) -> impl Iterator<Item = Tile> {
        let ([kh, _], [runs, run]) = (self.conv.window.kernel, self.conv.runs());
        let run_step = self.conv.run_step();
        (0..kh * runs).flat_map(move |i| {
            pieces(run, most).map(move |(start, rows)| Tile {
                ky: i / runs,
                at: i % runs * run_step + start,
                k: i * run + start,
                rows,
            })
        })
    }

    /// `slab (K, N vectors) += part of windows(x) (pixels, K)ᵀ · dy (pixels, N vectors)`.
    #[inline(always)]
    fn tile<V: Vector, const K: usize, const N: usize>(
        &self,
        band: &Band,
        ky: usize,
        at: usize,
        slab: &mut [f32],
    ) {
        let (ow, step, widest) = (self.conv.window.output[1], self.conv.window_step(), self.widest);
        let width = N * V::LANES;
        let mut sums = [[V::splat(0.0); N]; K];
        for (oy, dy) in band.oy.clone().zip(band.dy.chunks_exact(ow * width)) {
            let Some(x) = band.x.row(&self.conv, oy, ky) else { continue };
            let x = &x[at..];
            for ox in 0..ow {
                let x = &x[ox * step..][..K];
                let dy = &dy[ox * width..][..width];
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
