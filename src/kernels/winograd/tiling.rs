//! Where the tiles lie on the images.

use crate::kernels::vector::Vector;
use std::ops::Range;

#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) before: [usize; 2],
    /// Tiles down and across an image.
    pub(super) tiles: [usize; 2],
}

/// The first pixel of a tile.
pub(super) struct Corner {
    pub(super) image: usize,
    pub(super) row: isize,
    pub(super) column: isize,
}

/// No pixel: a zero of the padding.
const OUTSIDE: usize = usize::MAX;

impl Tiling {
    #[inline(always)]
    pub(super) fn corner(&self, tile: usize, step: usize, before: [usize; 2]) -> Corner {
        let [down, across] = self.tiles;
        let row = tile / across;
        Corner {
            image: row / down,
            row: (row % down * step) as isize - before[0] as isize,
            column: (tile % across * step) as isize - before[1] as isize,
        }
    }
}

impl Corner {
    /// The pixels of a tile, counted over all images of this size.
    #[inline(always)]
    pub(super) fn pixels<const S: usize>(&self, [h, w]: [usize; 2]) -> [[usize; S]; S] {
        let mut pixels = [[OUTSIDE; S]; S];
        for (row, pixels) in (self.row..).zip(&mut pixels) {
            for (column, pixel) in (self.column..).zip(pixels) {
                if (0..h as isize).contains(&row) && (0..w as isize).contains(&column) {
                    *pixel = (self.image * h + row as usize) * w + column as usize;
                }
            }
        }
        pixels
    }
}

/// Some of the channels of a square of pixels; zeros where there is no pixel.
#[inline(always)]
pub(super) fn gather<V: Vector, const S: usize>(
    x: &[f32],
    channels: usize,
    some: Range<usize>,
    pixels: &[[usize; S]; S],
) -> [[V; S]; S] {
    let mut square = [[V::splat(0.0); S]; S];
    for i in 0..S {
        for j in 0..S {
            square[i][j] = match pixels[i][j] {
                OUTSIDE => V::splat(0.0),
                pixel => V::load_some(&x[pixel * channels..][some.clone()]),
            };
        }
    }
    square
}
