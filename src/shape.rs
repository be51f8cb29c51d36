//! The shape of one sample.

use std::fmt;
use std::ops::Deref;

/// The dimensions of one sample, without the number of samples: `(28, 28, 1)` for a grey image of
/// 28 × 28 pixels. Dereferences to the slice of its dimensions.
///
/// ```
/// let shape = convnet::Shape::from([28, 28, 1]);
/// assert_eq!(shape.size(), 784);
/// assert_eq!(shape[2], 1);
/// assert_eq!(shape.to_string(), "(28, 28, 1)");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// How many floats a sample has; `usize::MAX` where the product does not fit.
    pub fn size(&self) -> usize {
        self.0.iter().fold(1, |size, &dim| size.saturating_mul(dim))
    }

    /// Whether the bytes of so many floats can be counted, as those of anything in memory can.
    pub(crate) fn fits_in_memory(&self) -> bool {
        isize::try_from(self.size().saturating_mul(size_of::<f32>())).is_ok()
    }

    /// The dimensions of a convolution kernel or an image as an array of `N`, if there are so many.
    pub fn dims<const N: usize>(&self) -> Option<[usize; N]> {
        self.0.as_slice().try_into().ok()
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<usize> for Shape {
    fn from(dim: usize) -> Self {
        Self(vec![dim])
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(usize::to_string).collect();
        write!(f, "({})", dims.join(", "))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
