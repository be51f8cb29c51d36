//! Random numbers that depend on the seed and on what they are for, not on who draws first.

use std::f64::consts::TAU;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// A seed of its own for the `index`th of several things that share a seed: the weights of a model,
/// the epochs of a training, the pieces of a dropout mask.
pub(crate) fn derive(seed: u64, index: u64) -> u64 {
    // The finaliser of SplitMix64 (Steele, Lea & Flood 2014) over both numbers.
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The generator of a seed: Xoshiro256++, whose values are the same on every machine.
pub(crate) fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// A number of the standard normal distribution (Box & Muller 1958).
pub(crate) fn standard_normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (TAU * random.random::<f64>()).cos()
}
