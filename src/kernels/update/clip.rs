//! Gradients added up and kept within bounds, and weights that decay.

use super::super::buffer::with_scratch;
use super::super::parallel::{CHUNK, Worth, bytes};
use super::super::simd::{Fma, Level, multiversion};
use super::pieces;
use rayon::prelude::*;

/// Short chains of sums in a piece: as many as the widest registers take twice.
pub(super) const CHAINS: usize = 32;

/// The root of the sum of squares. Pieces are summed up in f32, in short chains, then in order in f64.
pub(crate) fn norm(level: Level, x: &[f32]) -> f64 {
    with_scratch(x.len().div_ceil(CHUNK), |sums| {
        let pieces = sums.par_iter_mut().zip(x.par_chunks(CHUNK));
        pieces.worth(bytes(4 * x.len())).for_each(|(sum, x)| *sum = squares(level, x));
        sums.iter().map(|&sum| f64::from(sum)).sum::<f64>().sqrt()
    })
}

/// `x *= factor`.
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    let work = bytes(2 * 4 * x.len());
    let pieces = x.par_chunks_mut(CHUNK);
    pieces.worth(work).for_each(|x| x.iter_mut().for_each(|x| *x *= factor));
}

/// Keeps every number in `±most`.
pub(crate) fn clip(x: &mut [f32], most: f32) {
    let work = bytes(2 * 4 * x.len());
    let pieces = x.par_chunks_mut(CHUNK);
    pieces.worth(work).for_each(|x| x.iter_mut().for_each(|x| *x = x.clamp(-most, most)));
}

/// `sums += share · x`.
pub(crate) fn add_share(level: Level, sums: &mut [f32], x: &[f32], share: f32) {
    let work = bytes(3 * 4 * x.len());
    pieces(sums, x).worth(work).for_each(|(sums, x)| add_chunk(level, sums, x, share));
}

multiversion! { fn add_chunk(sums: &mut [f32], x: &[f32], share: f32) = add_body }

#[inline(always)]
fn add_body<F: Fma>(sums: &mut [f32], x: &[f32], share: f32) {
    sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum = F::fma(share, x, *sum));
}

/// `w -= share · w`. Not `scale` by `1 - share`, which rounds a small share, and in the same way for
/// all weights.
pub(crate) fn decay(level: Level, w: &mut [f32], share: f32) {
    let work = bytes(2 * 4 * w.len());
    w.par_chunks_mut(CHUNK).worth(work).for_each(|w| decay_chunk(level, w, share));
}

multiversion! { fn decay_chunk(w: &mut [f32], share: f32) = decay_body }

#[inline(always)]
fn decay_body<F: Fma>(w: &mut [f32], share: f32) {
    w.iter_mut().for_each(|w| *w = F::fma(-share, *w, *w));
}

multiversion! { fn squares(x: &[f32]) -> f32 = squares_body }

#[inline(always)]
fn squares_body<F: Fma>(x: &[f32]) -> f32 {
    let mut sums = [0.0; CHAINS];
    let (whole, rest) = x.as_chunks::<CHAINS>();
    for x in whole {
        sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum = F::fma(x, x, *sum));
    }
    sums.iter_mut().zip(rest).for_each(|(sum, &x)| *sum = F::fma(x, x, *sum));
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::super::parallel::assert_same_bits;
    use super::super::super::simd::level;
    use super::*;

    const SIZES: [usize; 6] = [0, 1, 31, 33, CHUNK - 1, 3 * CHUNK + 7];

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 2_654_435_761) >> 7) as f32 % 4001.0 / 1000.0 - 2.0).collect()
    }

    #[test]
    fn the_norm_equals_the_naive_one() {
        for n in SIZES {
            let x = noise(n);
            let naive = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            for level in Level::all() {
                assert!((norm(level, &x) - naive).abs() <= 1e-6 * naive, "{n}");
            }
        }
    }

    #[test]
    fn scaled_and_clipped_as_one_by_one() {
        for n in SIZES {
            let x = noise(n);
            let (mut scaled, mut clipped) = (x.clone(), x.clone());
            scale(&mut scaled, 0.3);
            clip(&mut clipped, 0.5);
            for ((x, scaled), clipped) in x.iter().zip(scaled).zip(clipped) {
                assert_eq!(scaled, x * 0.3);
                assert_eq!(clipped, x.clamp(-0.5, 0.5));
            }
        }
    }

    #[test]
    fn decays_as_one_by_one() {
        for level in Level::all() {
            for (n, share) in SIZES.into_iter().flat_map(|n| [(n, 0.1), (n, 4e-6)]) {
                let x = noise(n);
                let mut w = x.clone();
                decay(level, &mut w, share);
                for (w, x) in w.iter().zip(x) {
                    let wanted = f64::from(x) * (1.0 - f64::from(share));
                    assert!(
                        (f64::from(*w) - wanted).abs() <= 1.2e-7 * wanted.abs(),
                        "{w} {wanted}"
                    );
                }
            }
        }
    }

    #[test]
    fn adds_as_one_by_one() {
        for level in Level::all() {
            for n in SIZES {
                let x = noise(n);
                let mut sums = vec![0.5; n];
                add_share(level, &mut sums, &x, 0.3);
                for (sum, x) in sums.iter().zip(x) {
                    let wanted = 0.5 + f64::from(0.3_f32) * f64::from(x);
                    assert!((f64::from(*sum) - wanted).abs() <= 1e-7, "{sum} {wanted}");
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let x = noise(50 * CHUNK + 3);
        assert_same_bits(|| {
            let mut x = x.clone();
            let norm = norm(level(), &x);
            scale(&mut x, norm as f32);
            decay(level(), &mut x, 0.01);
            add_share(level(), &mut x, &noise(50 * CHUNK + 3), 0.3);
            x
        });
    }
}
