//! Between images in rows and images in lanes.

use super::{LANES, Lanes};

/// `block (len, LANES)` gets the images of `rows (n ≤ LANES, len)` as columns, and zeros in the
/// columns left over.
pub(crate) fn to_lanes(rows: &[f32], block: &mut [Lanes]) {
    check(rows, block);
    let len = block.len();
    for (i, numbers) in block.chunks_mut(LANES).enumerate() {
        let mut square = [[0.0; LANES]; LANES];
        for (image, row) in rows.chunks_exact(len).zip(&mut square) {
            copy(&image[i * LANES..], row);
        }
        for (numbers, column) in numbers.iter_mut().zip(transposed(&square)) {
            *numbers = column;
        }
    }
}

/// `rows (n ≤ LANES, len)` get the first columns of `block (len, LANES)`.
pub(crate) fn from_lanes(block: &[Lanes], rows: &mut [f32]) {
    check(rows, block);
    let len = block.len();
    for (i, numbers) in block.chunks(LANES).enumerate() {
        let images = transposed_rows(numbers);
        for (row, image) in rows.chunks_exact_mut(len).zip(&images) {
            copy(image, &mut row[i * LANES..]);
        }
    }
}

/// The transpose of up to 16 rows, and zeros for those that are missing.
pub(super) fn transposed_rows(rows: &[Lanes]) -> [Lanes; LANES] {
    let mut square = [[0.0; LANES]; LANES];
    square[..rows.len()].copy_from_slice(rows);
    transposed(&square)
}

fn transposed(square: &[Lanes; LANES]) -> [Lanes; LANES] {
    let mut transposed = [[0.0; LANES]; LANES];
    for (i, row) in square.iter().enumerate() {
        for (column, &number) in transposed.iter_mut().zip(row) {
            column[i] = number;
        }
    }
    transposed
}

/// As many floats as both have; 16 of them as one vector.
#[inline(always)]
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<LANES>(), to.first_chunk_mut()) {
        *to = *from;
    } else {
        let len = from.len().min(to.len());
        to[..len].copy_from_slice(&from[..len]);
    }
}

fn check(rows: &[f32], block: &[Lanes]) {
    let len = block.len();
    assert!(
        rows.len().is_multiple_of(len) && rows.len() <= LANES * len,
        "{} floats are not up to {LANES} images of {len}",
        rows.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::window::testing;

    #[test]
    fn images_become_columns_and_come_back() {
        for len in [1, 2, 15, 16, 17, 31, 48] {
            for n in [0, 1, 2, 15, 16] {
                let rows = testing::floats(n * len, 1);
                let mut block = vec![[f32::NAN; LANES]; len];
                to_lanes(&rows, &mut block);
                for (i, numbers) in block.iter().enumerate() {
                    for (image, &number) in numbers.iter().enumerate() {
                        let want = if image < n { rows[image * len + i] } else { 0.0 };
                        assert_eq!(number, want, "number {i} of image {image}");
                    }
                }
                let mut back = vec![f32::NAN; n * len];
                from_lanes(&block, &mut back);
                assert_eq!(back, rows);
            }
        }
    }
}
