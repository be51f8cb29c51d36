use crate::error::Result;
use crate::samples::Samples;
use crate::shape::Shape;

/// The classes of images that are read when they are needed: [`Samples`] of one-hot labels
/// `(n, classes)`, of which only the numbers are in memory.
///
/// Made by the source of the images; goes beside it into `fit` and `evaluate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    numbers: Vec<u32>,
    classes: usize,
}

impl Labels {
    /// Numbers below that of the classes.
    pub(super) fn new(numbers: Vec<u32>, classes: usize) -> Self {
        Self { numbers, classes }
    }

    /// The class of each image, as a number from 0 on: what
    /// [`SparseCategoricalCrossentropy`](crate::losses::SparseCategoricalCrossentropy) wants, and
    /// [`to_categorical`](crate::preprocessing::to_categorical) makes one-hot.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }
}

impl Samples for Labels {
    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn shape(&self) -> Shape {
        self.classes.into()
    }

    fn load(&self, index: usize, _seed: Option<u64>, label: &mut [f32]) -> Result<()> {
        label[self.numbers[index] as usize] = 1.0;
        Ok(())
    }
}
