//! Random numbers to compute with.

use proptest::prelude::*;

/// Which numbers there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Even over −1..1.
    Even,
    /// Of either sign and from 2⁻³⁰ to 2³⁰.
    Wide,
    /// Within 1 % of 1, so that sums do not cancel and means are large.
    Shifted,
}

/// Where numbers come from: a kind and a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) kind: Kind,
    seed: u32,
}

impl Numbers {
    /// So many numbers, others for each purpose.
    pub(crate) fn floats(self, purpose: u64, len: usize) -> Vec<f32> {
        let mut random = Random::new(u64::from(self.seed) << 8 | purpose);
        (0..len).map(|_| self.kind.number(&mut random)).collect()
    }
}

impl Kind {
    fn number(self, random: &mut Random) -> f32 {
        let even = random.even();
        match self {
            Self::Even => even,
            Self::Wide => even * 2.0_f32.powi(random.below(61) as i32 - 30),
            Self::Shifted => 1.0 + 0.01 * even,
        }
    }
}

/// The same even numbers every time.
pub(crate) const FIXED: Numbers = Numbers { kind: Kind::Even, seed: 1 };

/// Numbers of any kind.
pub(crate) fn any() -> impl Strategy<Value = Numbers> {
    let kind = prop_oneof![3 => Just(Kind::Even), 1 => Just(Kind::Wide), 1 => Just(Kind::Shifted)];
    (kind, 0..u32::MAX).prop_map(|(kind, seed)| Numbers { kind, seed })
}

/// Numbers even over −1..1.
pub(crate) fn even() -> impl Strategy<Value = Numbers> {
    (0..u32::MAX).prop_map(|seed| Numbers { kind: Kind::Even, seed })
}

/// A generator of its own (splitmix64), so that cases stay what they are.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Even over −1..1.
    pub(crate) fn even(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }
}
