use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::model::Snapshot;

/// What a callback hands over to a backup of the training and takes back when the training is resumed:
/// numbers, texts and copies of weights, under names of its own.
///
/// ```
/// use convnet::callbacks::{Callback, Logs, State, Training};
///
/// /// Remembers the smallest loss.
/// #[derive(Default)]
/// struct Smallest(Option<f64>);
///
/// impl Callback for Smallest {
///     fn on_epoch_end(
///         &mut self,
///         _epoch: usize,
///         logs: &mut Logs,
///         _training: &mut Training<'_>,
///     ) -> convnet::Result<()> {
///         self.0 = Some(self.0.map_or(logs["loss"], |smallest| smallest.min(logs["loss"])));
///         Ok(())
///     }
///
///     fn state(&self) -> State {
///         State::new().number("smallest", self.0)
///     }
///
///     fn set_state(&mut self, state: &State, _training: &Training<'_>) -> Result<(), String> {
///         self.0 = state.get_number("smallest");
///         Ok(())
///     }
/// }
///
/// let mut smallest = Smallest(Some(0.25));
/// assert_eq!(smallest.state().get_number("smallest"), Some(0.25));
/// ```
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) numbers: BTreeMap<String, f64>,
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) weights: BTreeMap<String, Snapshot>,
}

/// Up to here every whole number is an `f64`.
const MOST: f64 = (1u64 << 53) as f64;

impl State {
    /// Nothing: that of a callback that has nothing to go on with.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a number, if there is one.
    pub fn number(mut self, name: &str, number: impl Into<Option<f64>>) -> Self {
        self.numbers.extend(number.into().map(|number| (name.to_string(), number)));
        self
    }

    /// With a count, if there is one.
    pub fn count(self, name: &str, count: impl Into<Option<usize>>) -> Self {
        self.number(name, count.into().map(|count| count as f64))
    }

    /// With a text, if there is one.
    pub fn text(mut self, name: &str, text: impl Into<Option<String>>) -> Self {
        self.texts.extend(text.into().map(|text| (name.to_string(), text)));
        self
    }

    /// With a copy of the weights of the model that is trained, if there is one.
    pub fn weights<'s>(mut self, name: &str, weights: impl Into<Option<&'s Snapshot>>) -> Self {
        self.weights.extend(weights.into().map(|weights| (name.to_string(), weights.clone())));
        self
    }

    /// The number of this name.
    pub fn get_number(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    /// The count of this name; a number that is none is taken for none.
    pub fn get_count(&self, name: &str) -> Option<usize> {
        let count = self.get_number(name)?;
        ((0.0..=MOST).contains(&count) && count.fract() == 0.0).then_some(count as usize)
    }

    /// The text of this name.
    pub fn get_text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// The weights of this name.
    pub fn get_weights(&self, name: &str) -> Option<&Snapshot> {
        self.weights.get(name)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.texts.is_empty() && self.weights.is_empty()
    }
}

/// What a callback that has been given a state without this says.
pub(super) fn lacks(name: &str) -> String {
    format!("its state has no `{name}`")
}

/// Makes a file again what it was when the backup was made: so many bytes of it.
pub(super) fn cut_back(file: &File, path: &Path, length: u64) -> Result<(), String> {
    let path = path.display();
    let found = file.metadata().map_or(0, |metadata| metadata.len());
    if found < length {
        return Err(format!(
            "{path} has {found} bytes and had {length} when the backup was made; put it back"
        ));
    }
    file.set_len(length).map_err(|error| format!("{path} cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn counts_are_whole_numbers() {
        for (number, count) in [
            (3.0, Some(3)),
            (0.0, Some(0)),
            (-1.0, None),
            (0.5, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e300, None),
        ] {
            assert_eq!(State::new().number("n", number).get_count("n"), count, "{number}");
        }
        assert!(State::new().number("n", None).is_empty());
        assert!(!State::new().count("n", 2).is_empty());
    }
}
