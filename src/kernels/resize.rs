//! Images of another size, by linear interpolation along each axis.

use super::buffer::with_scratch;

/// From images of one size to those of another.
#[derive(Clone, Debug)]
pub(crate) struct Resize {
    rows: Axis,
    columns: Axis,
}

/// Which pixels of an axis make each pixel of another one.
#[derive(Clone, Debug)]
struct Axis {
    from: usize,
    /// For each pixel the first of those it is made of, and their weights, which sum to 1.
    taps: Vec<(usize, Vec<f32>)>,
}

impl Axis {
    /// A pixel weighs less by its distance from the place of the new one, and nothing from one pixel
    /// on; with `antialias`, where the axis becomes shorter, from one new pixel on.
    fn new(from: usize, to: usize, antialias: bool) -> Self {
        let scale = from as f64 / to as f64;
        let reach = if antialias { scale.max(1.0) } else { 1.0 };
        let tap = |i| {
            let center = (i as f64 + 0.5) * scale;
            // A pixel's own place is its middle.
            let first = (center - reach - 0.5).ceil().max(0.0) as usize;
            let last = ((center + reach - 0.5).floor() as usize).min(from - 1);
            let weight = |k| (1.0 - ((k as f64 + 0.5 - center) / reach).abs()).max(0.0);
            let total: f64 = (first..=last).map(weight).sum();
            (first, (first..=last).map(|k| (weight(k) / total) as f32).collect())
        };
        Self { from, taps: (0..to).map(tap).collect() }
    }
}

impl Resize {
    /// From and to heights and widths, none of them 0.
    pub(crate) fn new(from: [usize; 2], to: [usize; 2], antialias: bool) -> Self {
        let [rows, columns] = [0, 1].map(|axis| Axis::new(from[axis], to[axis], antialias));
        Self { rows, columns }
    }

    /// One image of `c` channels whose rows begin `stride` numbers apart.
    ///
    /// `x (h, w, c)`, `y (oh, ow, c)`.
    pub(crate) fn run<T: Copy + Into<f32>>(&self, c: usize, x: &[T], stride: usize, y: &mut [f32]) {
        let width = self.columns.from * c;
        with_scratch(width, |row| {
            let rows = y.chunks_exact_mut(self.columns.taps.len() * c);
            for ((first, weights), y) in self.rows.taps.iter().zip(rows) {
                row.fill(0.0);
                for (k, &weight) in weights.iter().enumerate() {
                    let x = &x[(first + k) * stride..][..width];
                    row.iter_mut().zip(x).for_each(|(sum, &x)| *sum += weight * x.into());
                }
                for ((first, weights), y) in self.columns.taps.iter().zip(y.chunks_exact_mut(c)) {
                    y.fill(0.0);
                    for (&weight, x) in weights.iter().zip(row[first * c..].chunks_exact(c)) {
                        y.iter_mut().zip(x).for_each(|(sum, &x)| *sum += weight * x);
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One pixel of one channel between its four neighbours, those beyond the edge being the edge.
    fn naive(x: &[f32], [h, w]: [usize; 2], [oh, ow]: [usize; 2], [i, j]: [usize; 2]) -> f32 {
        let place = |i: usize, from: usize, to: usize| (i as f32 + 0.5) * from as f32 / to as f32;
        let [down, right] = [place(i, h, oh) - 0.5, place(j, w, ow) - 0.5];
        let mut sum = 0.0;
        for (row, a) in
            [(down.floor(), 1.0 - down.rem_euclid(1.0)), (down.floor() + 1.0, down.rem_euclid(1.0))]
        {
            for (column, b) in [
                (right.floor(), 1.0 - right.rem_euclid(1.0)),
                (right.floor() + 1.0, right.rem_euclid(1.0)),
            ] {
                let row = row.clamp(0.0, h as f32 - 1.0) as usize;
                let column = column.clamp(0.0, w as f32 - 1.0) as usize;
                sum += a * b * x[row * w + column];
            }
        }
        sum
    }

    #[test]
    fn agrees_with_the_four_neighbours() {
        for (from, to) in [
            ([1, 1], [1, 1]),
            ([1, 1], [3, 2]),
            ([5, 7], [5, 7]),
            ([5, 7], [11, 13]),
            ([28, 28], [67, 67]),
            ([13, 11], [5, 1]),
            ([2, 40], [30, 3]),
        ] {
            let x: Vec<f32> = (0..from[0] * from[1]).map(|i| (i * 7 % 23) as f32).collect();
            let mut y = vec![f32::NAN; to[0] * to[1]];
            Resize::new(from, to, false).run(1, &x, from[1], &mut y);
            for (place, &y) in y.iter().enumerate() {
                let expected = naive(&x, from, to, [place / to[1], place % to[1]]);
                assert!((y - expected).abs() < 1e-4, "{from:?} to {to:?} at {place}: {y}");
            }
        }
    }

    #[test]
    fn channels_stay_apart_and_windows_are_cut() {
        // Two channels of a window of 3×4 at (1, 2) in an image of 6×7.
        let x: Vec<u8> = (0..6 * 7 * 2).map(|i| (i * 11 % 251) as u8).collect();
        let resize = Resize::new([3, 4], [5, 9], false);
        let mut y = vec![0.0; 5 * 9 * 2];
        resize.run(2, &x[(7 + 2) * 2..], 14, &mut y);
        for channel in 0..2 {
            let window: Vec<f32> = (0..12)
                .map(|i| f32::from(x[((1 + i / 4) * 7 + 2 + i % 4) * 2 + channel]))
                .collect();
            let mut alone = vec![0.0; 5 * 9];
            resize.run(1, &window, 4, &mut alone);
            assert!(y.iter().skip(channel).step_by(2).eq(&alone));
        }
    }

    #[test]
    fn antialias_takes_the_mean_of_what_vanishes() {
        let x: Vec<f32> = (0..64).map(|i| if i % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let mut y = [0.0; 4];
        Resize::new([1, 64], [1, 4], true).run(1, &x, 64, &mut y);
        assert!(y.iter().all(|y| (y - 0.5).abs() < 0.01), "{y:?}");
        let [mut larger, mut plain] = [[0.0; 100]; 2];
        Resize::new([1, 64], [1, 100], true).run(1, &x, 64, &mut larger);
        Resize::new([1, 64], [1, 100], false).run(1, &x, 64, &mut plain);
        assert_eq!(larger, plain, "there is nothing to antialias in a larger image");
    }
}
