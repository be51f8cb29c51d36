//! Convolution without im2col: the kernels read the windows where they lie in the image.
//!
//! In `(n, h, w, c)` images the `kw · c` floats of one kernel row stand side by side, so that a
//! product `windows(x) · w` can take its left factor straight from the image. Only rows that reach
//! over the left or right edge are copied, with zeros beside them; rows above and below the image
//! are skipped.

pub(super) mod backward_weights;
mod few_filters;
pub(super) mod forward;
pub(super) mod pack;
mod rows;
#[cfg(test)]
mod tests;

use super::conv::Conv;
use super::simd::Level;

/// The filters are cut into panels, `(first filter, width)`, as wide as the register tiles: two
/// vectors, or one on AVX-512 where that is enough for the filters that are left.
fn panels(widest: usize, filters: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..filters).step_by(widest).map(move |first| {
        let fits_half = widest == 32 && filters - first <= widest / 2;
        (first, if fits_half { widest / 2 } else { widest })
    })
}

fn widest_panel(level: Level) -> usize {
    match level {
        Level::Plain => 8,
        Level::Avx2 => 16,
        Level::Avx512 => 32,
    }
}

/// The filters and the empty lanes of the last panel.
fn padded_filters(level: Level, filters: usize) -> usize {
    panels(widest_panel(level), filters).last().map_or(0, |(first, width)| first + width)
}

/// Cuts `len` into the fewest pieces of at most `most`, as equal as can be: `(start, length)` each.
#[inline(always)]
fn pieces(len: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = len.div_ceil(most).max(1);
    let (shorter, longer) = (len / count, len % count);
    (0..count.min(len))
        .map(move |i| (i * shorter + i.min(longer), shorter + usize::from(i < longer)))
}

/// Runs the code for a tile of `$size`, one of the sizes listed, with the constant `$name` of it:
/// only tiles whose size the compiler knows stay in registers.
macro_rules! by_size {
    ($size:expr, $($($listed:literal)*, $name:ident => $code:expr),*) => {
        match $size {
            $($($listed => {
                const $name: usize = $listed;
                $code
            })*)*
            size => unreachable!("a tile of {size}"),
        }
    };
}
use by_size;
