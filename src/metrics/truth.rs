/// The targets of a batch: for each row and class a number, or for each row the label of its class.
#[derive(Clone, Copy)]
pub(super) struct Truth<'a> {
    targets: &'a [f32],
    classes: usize,
    labels: bool,
}

impl<'a> Truth<'a> {
    /// The targets of rows of so many classes.
    pub(super) fn new(outputs: &[f32], targets: &'a [f32], classes: usize) -> Self {
        Self { targets, classes, labels: targets.len() < outputs.len() }
    }

    /// How true a class is: 0 or 1, unless targets are in between.
    pub(super) fn of(&self, row: usize, class: usize) -> f32 {
        if self.labels {
            f32::from(u8::from(self.targets[row] == class as f32))
        } else {
            self.targets[row * self.classes + class]
        }
    }

    /// The class of a row: its label, or the first of the truest.
    pub(super) fn class(&self, row: usize) -> usize {
        if self.labels {
            self.targets[row] as usize
        } else {
            super::accuracy::arg_max(&self.targets[row * self.classes..][..self.classes])
        }
    }
}
