//! What of a file's weights does not fit a model.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::shape::Shape;

/// The weights of a model and of a file that have no like in the other.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) missing: Vec<String>,
    pub(crate) unexpected: Vec<String>,
    pub(crate) different: Vec<String>,
}

impl Differences {
    /// Notes a weight of another shape or of other numbers.
    pub(crate) fn differs(&mut self, name: &str, dtype: &str, found: &[usize], wanted: &[usize]) {
        let [found, wanted] = [found, wanted].map(Shape::from);
        self.different.push(format!(
            "`{name}` ({dtype} of shape {found} in the file, F32 of shape {wanted} here)"
        ));
    }

    /// The tensor of this name and shape; noted if there is none.
    pub(crate) fn tensor<'f>(
        &mut self,
        file: &SafeTensors<'f>,
        name: &str,
        shape: &[usize],
    ) -> Option<TensorView<'f>> {
        let Ok(found) = file.tensor(name) else {
            self.missing.push(format!("`{name}`"));
            return None;
        };
        if found.dtype() != Dtype::F32 || found.shape() != shape {
            self.differs(name, &found.dtype().to_string(), found.shape(), shape);
            return None;
        }
        Some(found)
    }

    /// Notes the tensors that nobody wants.
    pub(crate) fn left_over(&mut self, file: &SafeTensors<'_>, wanted: impl Fn(&str) -> bool) {
        let names = file.names().into_iter().filter(|name| !wanted(name));
        self.unexpected.extend(names.map(|name| format!("`{name}`")));
        self.unexpected.sort();
    }

    /// All of them, as the end of a sentence that begins with the file.
    pub(crate) fn judged(self) -> Result<(), String> {
        let lists = [
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("different", self.different),
        ];
        let lists: Vec<String> = lists
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        if lists.is_empty() {
            return Ok(());
        }
        Err(format!("does not fit this model: {}", lists.join("; ")))
    }
}
