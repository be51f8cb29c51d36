//! Arrays as users hand them in: of any numbers, read as row-major `f32`.

use std::borrow::Cow;

use ndarray::{ArrayView, Dimension};

/// A number that an array of images or labels may hold. Everything is computed in `f32`.
pub trait Element: Copy {
    /// The nearest `f32`.
    fn as_f32(self) -> f32;

    /// The array's numbers in `f32` and in row-major order; borrowed where they are that already.
    fn to_f32<D: Dimension>(array: ArrayView<'_, Self, D>) -> Cow<'_, [f32]> {
        Cow::Owned(array.iter().map(|number| number.as_f32()).collect())
    }
}

impl Element for f32 {
    fn as_f32(self) -> f32 {
        self
    }

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
            fn as_f32(self) -> f32 {
                self as f32
            }
        }
    )*};
}
element!(f64, u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);

#[cfg(test)]
mod tests {
    use super::Element;
    use ndarray::array;

    fn floats<A: Element>(one: A, two: A) -> Vec<f32> {
        let array = array![[one, two], [two, one]];
        let mut turned = A::to_f32(array.t()).into_owned();
        turned.extend(A::to_f32(array.row(0)).iter());
        turned
    }

    #[test]
    fn all_kinds_of_numbers_are_taken() {
        let all = [
            floats(1f32, 2.0),
            floats(1f64, 2.0),
            floats(1u8, 2),
            floats(1i8, 2),
            floats(1u16, 2),
            floats(1i16, 2),
            floats(1u32, 2),
            floats(1i32, 2),
            floats(1u64, 2),
            floats(1i64, 2),
            floats(1usize, 2),
            floats(1isize, 2),
        ];
        assert!(all.iter().all(|floats| floats == &[1.0, 2.0, 2.0, 1.0, 1.0, 2.0]));
    }
}
