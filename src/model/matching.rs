//! How the weights of a file and those of a model compare.

use std::fmt;

use safetensors::tensor::{Dtype, TensorInfo};

use crate::shape::Shape;

/// How the weights in a file and those of a model compare, by name, as
/// [`load_weights_matching`](super::Model::load_weights_matching) gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// Those that were loaded.
    pub loaded: Vec<String>,
    /// Those of the model that the file lacks.
    pub missing: Vec<String>,
    /// Those of the file that the model lacks.
    pub unexpected: Vec<String>,
    /// Those of other shapes or kinds of numbers, each with what there is and what was wanted.
    pub different: Vec<String>,
}

impl Matching {
    /// Notes how a weight and what the file has under its name compare.
    pub(crate) fn weight(&mut self, name: &str, wanted: &[usize], found: Option<&TensorInfo>) {
        match found {
            None => self.missing.push(name.to_string()),
            Some(info) if info.shape != wanted || info.dtype != Dtype::F32 => {
                self.differs(name, &info.dtype.to_string(), &info.shape, wanted);
            }
            Some(_) => self.loaded.push(name.to_string()),
        }
    }

    /// Notes a weight of another shape or of other numbers.
    pub(crate) fn differs(&mut self, name: &str, dtype: &str, found: &[usize], wanted: &[usize]) {
        let [found, wanted] = [found, wanted].map(Shape::from);
        self.different.push(format!(
            "`{name}` ({dtype} of shape {found} in the file, F32 of shape {wanted} here)"
        ));
    }

    /// Notes what nobody wants.
    pub(crate) fn left_over(&mut self, names: impl IntoIterator<Item = String>) {
        self.unexpected.extend(names);
        self.unexpected.sort();
    }

    /// Refuses anything but a perfect match, with the end of a sentence that begins with the file.
    pub(crate) fn strictly(&self) -> Result<(), String> {
        if [&self.missing, &self.unexpected, &self.different].iter().all(|list| list.is_empty()) {
            return Ok(());
        }
        let all = Self { loaded: Vec::new(), ..self.clone() };
        Err(format!("does not fit this model: {all}"))
    }
}

/// `loaded: …; missing: …; unexpected: …; different: …`, without the lists that are empty.
impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |names: &[String]| -> Vec<String> {
            names.iter().map(|name| format!("`{name}`")).collect()
        };
        let lists = [
            ("loaded", quoted(&self.loaded)),
            ("missing", quoted(&self.missing)),
            ("unexpected", quoted(&self.unexpected)),
            ("different", self.different.clone()),
        ];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        for (i, (what, names)) in lists.enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{what}: {}", names.join(", "))?;
        }
        Ok(())
    }
}
