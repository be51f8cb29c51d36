//! Which samples are trained on and which are held out.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::words::counted;

/// The training and the validation part of `n` samples: the **last** `fraction` of them is held out,
/// before any shuffling, with Keras' rounding.
pub(super) fn validation_split(n: usize, fraction: f64) -> Result<(Range<usize>, Range<usize>)> {
    if !(0.0..1.0).contains(&fraction) {
        return Err(Error::training(format!(
            "fit: validation_split is {fraction}; it is the fraction of the samples to hold out, \
             at least 0 and below 1"
        )));
    }
    let at = (n as f64 * (1.0 - fraction)).floor() as usize;
    if fraction > 0.0 && (at == 0 || at == n) {
        let side = if at == 0 { "to train on" } else { "to validate with" };
        return Err(Error::training(format!(
            "fit: a validation_split of {fraction} leaves none of {} {side}; use another fraction, \
             more samples or validation_data",
            counted(n, "sample")
        )));
    }
    Ok((0..at, at..n))
}

#[cfg(test)]
mod tests {
    use super::validation_split;

    #[test]
    fn takes_the_last_fraction_with_keras_rounding() {
        for (n, fraction, at) in
            [(60_000, 0.2, 48_000), (60_000, 0.1, 54_000), (10, 0.8, 1), (10, 0.0, 10), (3, 0.5, 1)]
        {
            assert_eq!(validation_split(n, fraction).unwrap(), (0..at, at..n));
        }
    }

    #[test]
    fn refuses_an_empty_side() {
        for (n, fraction) in [(10, 0.9), (1, 0.5), (10, 1e-17)] {
            let error = validation_split(n, fraction);
            if fraction < 1e-10 {
                assert!(error.unwrap_err().to_string().contains("to validate with"));
            } else {
                assert!(error.unwrap_err().to_string().contains("to train on"), "{n} {fraction}");
            }
        }
        for fraction in [-0.1, 1.0, 1.5, f64::NAN] {
            assert!(validation_split(10, fraction).is_err());
        }
    }
}
