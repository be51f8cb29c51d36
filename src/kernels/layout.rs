//! How the samples of a batch lie in memory.

use super::lanes::LANES;

/// How the samples of a batch lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One sample after the other: `(n, shape…)`.
    Rows,
    /// Blocks of 16 samples, the sample being the last axis: `(n/16, shape…, 16)`, so that every
    /// vector instruction works on 16 samples whatever the shape. The samples left over in the last
    /// block are zero in the network's input, and so are their gradients.
    Lanes,
}

impl Layout {
    /// How many floats `n` samples of `size` floats take.
    pub fn floats(self, n: usize, size: usize) -> usize {
        match self {
            Self::Rows => n * size,
            Self::Lanes => n.next_multiple_of(LANES) * size,
        }
    }

    /// How many samples lie side by side: a block of lanes is like one sample with so many times the
    /// channels.
    pub fn across(self) -> usize {
        match self {
            Self::Rows => 1,
            Self::Lanes => LANES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_of_lanes_is_filled_up() {
        assert_eq!([0, 3, 16, 17].map(|n| Layout::Rows.floats(n, 5)), [0, 15, 80, 85]);
        assert_eq!([0, 3, 16, 17].map(|n| Layout::Lanes.floats(n, 5)), [0, 80, 80, 160]);
        assert_eq!([Layout::Rows, Layout::Lanes].map(Layout::across), [1, 16]);
    }
}
