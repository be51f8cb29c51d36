//! Which arrays can share memory, since one is dead before the other is written.

/// When an array is first written and last read, both inclusive, in any unit of time that orders
/// the steps; and its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) len: usize,
}

/// Gives every array a slot so that arrays alive at the same time have different ones. Returns the
/// slot of each array and the length of each slot.
pub(crate) fn share(lives: &[Life]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&i| lives[i].from);
    let mut slot_of = vec![0; lives.len()];
    // The length of each slot, and until when it is taken.
    let mut slots: Vec<(usize, usize)> = Vec::new();
    for i in order {
        let life = lives[i];
        let free = (0..slots.len())
            .filter(|&slot| slots[slot].1 < life.from)
            .min_by_key(|&slot| slots[slot].0.abs_diff(life.len));
        let slot = free.unwrap_or_else(|| {
            slots.push((0, 0));
            slots.len() - 1
        });
        slots[slot] = (slots[slot].0.max(life.len), life.to);
        slot_of[i] = slot;
    }
    (slot_of, slots.into_iter().map(|(len, _)| len).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_needs_two_slots() {
        let lives: Vec<Life> = (0..10).map(|i| Life { from: i, to: i + 1, len: 10 + i }).collect();
        let (slots, lens) = share(&lives);
        assert_eq!(lens.len(), 2);
        assert!(slots.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(lives.iter().zip(&slots).all(|(life, &slot)| lens[slot] >= life.len));
    }

    #[test]
    fn arrays_alive_together_are_apart() {
        let lives: Vec<Life> = (0..40)
            .map(|i| Life { from: i * 7 % 11, to: i * 7 % 11 + i % 5, len: i * 13 % 17 + 1 })
            .collect();
        let (slots, _) = share(&lives);
        for (i, a) in lives.iter().enumerate() {
            for (j, b) in lives.iter().enumerate().skip(i + 1) {
                assert!(slots[i] != slots[j] || a.to < b.from || b.to < a.from, "{a:?} {b:?}");
            }
        }
    }
}
