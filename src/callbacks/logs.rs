use std::fmt;
use std::ops::Index;

/// Named numbers of a batch or an epoch, such as `loss` and `val_accuracy`, in the order in which
/// they are printed: alphabetical, then what callbacks added.
///
/// ```
/// let mut logs = convnet::callbacks::Logs::default();
/// logs.set("loss", 0.25);
/// assert_eq!(logs["loss"], 0.25);
/// assert_eq!(logs.get("accuracy"), None);
/// assert_eq!(logs.to_string(), "loss: 0.2500");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs {
    entries: Vec<(String, f64)>,
}

impl Logs {
    /// The number of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.entries.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }

    /// Sets the number of this name, after all others if it is new.
    pub fn set(&mut self, name: &str, value: f64) {
        match self.entries.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.entries.push((name.to_string(), value)),
        }
    }

    /// All names and numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Logs of these names, sorted, all 0.
    pub(crate) fn with_names(mut names: Vec<String>) -> Self {
        names.sort();
        Self { entries: names.into_iter().map(|name| (name, 0.0)).collect() }
    }
}

impl Index<&str> for Logs {
    type Output = f64;

    /// # Panics
    /// If there is no number of this name; [`get`](Logs::get) does not panic.
    fn index(&self, name: &str) -> &f64 {
        match self.entries.iter().find(|(known, _)| known == name) {
            Some((_, value)) => value,
            None => panic!("no `{name}` in these logs: {self}"),
        }
    }
}

/// `accuracy: 0.8937 - loss: 0.3018`, with Keras' digits.
impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { " - " };
            if value.abs() > 1e-3 {
                write!(f, "{separator}{name}: {value:.4}")?;
            } else {
                write!(f, "{separator}{name}: {}", scientific(value))?;
            }
        }
        Ok(())
    }
}

/// Four digits and an exponent of at least two, as Python writes `%.4e`.
fn scientific(value: f64) -> String {
    let text = format!("{value:.4e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, size) = match exponent.strip_prefix('-') {
                Some(size) => ('-', size),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{size:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_keras_writes_them() {
        let mut logs = Logs::with_names(vec!["loss".into(), "accuracy".into()]);
        logs.set("loss", 0.00042);
        logs.set("accuracy", 0.77314);
        logs.set("learning_rate", 1e-3);
        assert_eq!(
            logs.to_string(),
            "accuracy: 0.7731 - loss: 4.2000e-04 - learning_rate: 1.0000e-03"
        );
        logs.set("loss", f64::NAN);
        assert!(logs.to_string().contains("loss: NaN"));
    }
}
