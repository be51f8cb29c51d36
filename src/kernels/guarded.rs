//! Floats with margins, so that a kernel that reads or writes one too far is seen. Only for tests.

use std::ops::{Deref, DerefMut};

/// More than the widest vector has.
const MARGIN: usize = 67;

/// Floats between margins of NaN, at an address that no vector is aligned to. What reads one too far
/// becomes NaN; what writes one too far is found when it is dropped.
#[derive(Clone)]
pub(crate) struct Guarded(Vec<f32>);

impl Guarded {
    pub(crate) fn new(floats: &[f32]) -> Self {
        let margin = [f32::NAN; MARGIN];
        Self([&margin, floats, &margin].concat())
    }
}

impl Deref for Guarded {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0[MARGIN..self.0.len() - MARGIN]
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [f32] {
        let end = self.0.len() - MARGIN;
        &mut self.0[MARGIN..end]
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let end = self.0.len() - MARGIN;
        let [before, behind] = [&self.0[..MARGIN], &self.0[end..]];
        let untouched = before.iter().chain(behind).all(|x| x.to_bits() == f32::NAN.to_bits());
        assert!(untouched || std::thread::panicking(), "a kernel wrote beside {}", end - MARGIN);
    }
}

#[test]
#[should_panic(expected = "a kernel wrote beside 5")]
fn a_float_too_far_is_seen() {
    let mut guarded = Guarded::new(&[0.0; 5]);
    guarded.0[MARGIN + 5] = 0.0;
}
