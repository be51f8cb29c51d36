//! How cases are tried, and how what comes out is judged.

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use crate::reference::Number;

/// What rounding a number of size 1 to f32 may cost.
pub(crate) const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// Tries so many cases, or as many as `PROPTEST_CASES` says, and prints the largest errors.
pub(crate) fn cases<S: Strategy>(
    cases: u32,
    strategy: S,
    test: impl Fn(S::Value, &Judge) -> Result<(), TestCaseError>,
) {
    let given = Config::default();
    let config = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => given,
        None => Config { cases, rng_seed: RngSeed::Fixed(1), ..given },
    };
    let judge = Judge::default();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..config.clone() });
    let result = runner.run(&strategy, |case| test(case, &judge));
    for (what, (error, allowed)) in &*judge.worst.lock().unwrap() {
        println!("{} cases, {what}: {error:.1} units, {allowed:.1} allowed", config.cases);
    }
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Compares, and remembers the worst of each kind.
#[derive(Default)]
pub(crate) struct Judge {
    worst: Mutex<BTreeMap<String, (f64, f64)>>,
}

impl Judge {
    /// A sum of so many terms.
    pub(crate) fn sum(
        &self,
        what: &str,
        got: &[f32],
        want: &[Number],
        terms: usize,
    ) -> Result<(), TestCaseError> {
        self.within(what, got, want, of_sum(terms))
    }

    /// Each number is off by at most so many units of its size.
    pub(crate) fn within(
        &self,
        what: &str,
        got: &[f32],
        want: &[Number],
        allowed: f64,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(got.len(), want.len(), "{}", what);
        let mut worst = 0.0;
        for (i, (&got, want)) in got.iter().zip(want).enumerate() {
            // The last summand: below the least normal number all are equally far apart.
            let unit = UNIT * want.size + f64::from(f32::MIN_POSITIVE) * UNIT;
            let error = (f64::from(got) - want.value).abs() / unit;
            prop_assert!(
                error <= allowed,
                "{what}[{i}] is {got}, not {}: {error} units of {}, {allowed} are allowed",
                want.value,
                want.size
            );
            worst = f64::max(worst, error);
        }
        let mut all = self.worst.lock().unwrap();
        let known = all.entry(what.to_string()).or_insert((0.0, allowed));
        if worst / allowed >= known.0 / known.1 {
            *known = (worst, allowed);
        }
        Ok(())
    }

    /// All numbers together are off by at most this share of the largest.
    pub(crate) fn share(
        &self,
        what: &str,
        got: &[f32],
        want: &[Number],
        share: f64,
    ) -> Result<(), TestCaseError> {
        let largest = want.iter().fold(1e-3, |largest: f64, want| largest.max(want.value.abs()));
        let want: Vec<Number> =
            want.iter().map(|want| Number { value: want.value, size: largest }).collect();
        self.within(what, got, &want, share / UNIT)
    }

    /// The same bits, or the same number where zeros may differ in sign.
    pub(crate) fn exactly(
        &self,
        what: &str,
        got: &[f32],
        want: &[f32],
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(got.len(), want.len(), "{}", what);
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            prop_assert!(got == want, "{what}[{i}] is {got}, not {want}");
        }
        Ok(())
    }
}

/// The units that a sum of so many terms may be off by.
pub(crate) fn of_sum(terms: usize) -> f64 {
    4.0 + 2.0 * (terms as f64).sqrt()
}
