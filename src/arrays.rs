//! Arrays as users hand them in: of any numbers, read as row-major `f32`.

use std::borrow::Cow;

use ndarray::{ArrayView, Dimension};

/// A number that an array of images or labels may hold. Everything is computed in `f32`.
pub trait Element: Copy {
    /// The array's numbers in `f32` and in row-major order; borrowed where they are that already.
    fn to_f32<D: Dimension>(array: ArrayView<'_, Self, D>) -> Cow<'_, [f32]>;
}

impl Element for f32 {
    fn to_f32<D: Dimension>(array: ArrayView<'_, f32, D>) -> Cow<'_, [f32]> {
        match array.to_slice() {
            Some(floats) => Cow::Borrowed(floats),
            None => Cow::Owned(array.iter().copied().collect()),
        }
    }
}

macro_rules! element {
    ($($number:ty),*) => {$(
        impl Element for $number {
            fn to_f32<D: Dimension>(array: ArrayView<'_, Self, D>) -> Cow<'_, [f32]> {
                Cow::Owned(array.iter().map(|&number| number as f32).collect())
            }
        }
    )*};
}
element!(f64, u8, i8, u16, i16, u32, i32, u64, i64, usize);
