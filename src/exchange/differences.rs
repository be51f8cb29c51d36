//! What in another program's file does not fit a model.

use crate::shape::Shape;

/// The weights of a model and of a file that have no like in the other.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) missing: Vec<String>,
    pub(super) unexpected: Vec<String>,
    pub(super) different: Vec<String>,
}

impl Differences {
    /// Notes a weight of another shape or of other numbers.
    pub(super) fn differs(&mut self, name: &str, dtype: &str, found: &[usize], wanted: &[usize]) {
        let [found, wanted] = [found, wanted].map(Shape::from);
        self.different.push(format!(
            "`{name}` ({dtype} of shape {found} in the file, F32 of shape {wanted} here)"
        ));
    }

    /// All of them, as the end of a sentence that begins with the file.
    pub(super) fn judged(self) -> Result<(), String> {
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
