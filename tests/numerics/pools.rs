//! Pools over windows and over whole images.

use convnet::layers::{LayerSpec, Padding};
use convnet::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::bench::{Bench, Outcome};
use crate::numbers::{self, Numbers};
use crate::reference::{Axis, Bilinear, Number, each_tap, exact};
use crate::trying::{Judge, cases};

/// A pool over a batch of images.
#[derive(Clone, Copy, Debug)]
struct Pool {
    n: usize,
    c: usize,
    axes: [Axis; 2],
    size: [usize; 2],
    strides: [usize; 2],
    padding: Padding,
    in_lanes: bool,
    numbers: Numbers,
}

fn pools() -> impl Strategy<Value = Pool> {
    let sizes = ([1..15usize, 1..15], [1..5usize, 1..5], [1..5usize, 1..5]);
    let strategy = (1..41usize, 1..71usize, sizes, any::<[bool; 2]>(), numbers::any());
    strategy.prop_map(|(n, c, (image, size, strides), [same, in_lanes], numbers)| {
        let padding = if same { Same } else { Valid };
        let axes = [0, 1].map(|i| Axis::new(image[i], [size[i], strides[i], 1], padding));
        // As many numbers as take a blink.
        let n = n.min(100_000 / (axes[0].image * axes[1].image * c)).max(1);
        Pool { n, c, axes, size, strides, padding, in_lanes, numbers }
    })
}

/// One window over the whole of each image.
fn global() -> impl Strategy<Value = Pool> {
    pools().prop_map(|pool| {
        let size = pool.axes.map(|axis| axis.image);
        let axes = size.map(|size| Axis::new(size, [size, 1, 1], Valid));
        Pool { axes, size, strides: [1, 1], padding: Valid, ..pool }
    })
}

impl Pool {
    fn pixels(&self) -> usize {
        self.n * self.axes[0].image * self.axes[1].image
    }

    fn outputs(&self) -> usize {
        self.n * self.axes[0].output * self.axes[1].output
    }

    /// How many windows a pixel may be in.
    fn overlap(&self) -> usize {
        [0, 1].map(|i| self.size[i].div_ceil(self.strides[i])).iter().product()
    }

    fn run(&self, layer: impl Fn() -> LayerSpec, x: &[f32], dy: &[f32]) -> Outcome {
        let shape = [self.axes[0].image, self.axes[1].image, self.c].into();
        let inputs = vec![(shape, x)];
        Bench { n: self.n, inputs, weights: vec![], in_lanes: self.in_lanes }.run(layer, dy)
    }

    fn max(&self, layer: impl Fn() -> LayerSpec, judge: &Judge) -> Result<(), TestCaseError> {
        let c = self.c;
        let x = self.numbers.floats(1, self.pixels() * c);
        let dy = self.numbers.floats(2, self.outputs() * c);
        // The largest number under each window, the first of several, and its place.
        let mut largest = vec![(f32::NEG_INFINITY, usize::MAX); dy.len()];
        each_tap(self.axes, self.n, |output, _, pixel| {
            for channel in 0..c {
                let (best, place) = &mut largest[output * c + channel];
                if x[pixel * c + channel] > *best {
                    (*best, *place) = (x[pixel * c + channel], pixel * c + channel);
                }
            }
        });
        let mut dx = vec![Number::default(); x.len()];
        for (&(_, place), dy) in largest.iter().zip(exact(&dy)) {
            dx[place] = dx[place] + dy;
        }
        let got = self.run(layer, &x, &dy);
        let y: Vec<f32> = largest.iter().map(|(best, _)| *best).collect();
        judge.exactly("y", &got.y, &y)?;
        judge.exactly("y", &got.predicted, &y)?;
        judge.sum("maxima dx", &got.dx[0], &dx, self.overlap())
    }

    fn average(&self, layer: impl Fn() -> LayerSpec, judge: &Judge) -> Result<(), TestCaseError> {
        let c = self.c;
        let x = self.numbers.floats(1, self.pixels() * c);
        let dy = self.numbers.floats(2, self.outputs() * c);
        // A kernel that holds for each window its share of a pixel.
        let mut counts = vec![0.0; self.outputs()];
        each_tap(self.axes, self.n, |output, _, _| counts[output] += 1.0);
        let shares: Vec<Number> = counts.iter().map(|count| Number::exact(1.0 / count)).collect();
        let want = Bilinear::new(&exact(&x), &shares, &exact(&dy), |product| {
            each_tap(self.axes, self.n, |output, _, pixel| {
                (0..c).for_each(|k| product([pixel * c + k, output, output * c + k]));
            });
        });
        let got = self.run(layer, &x, &dy);
        let cells = self.size[0] * self.size[1];
        judge.sum("averages y", &got.y, &want.y, cells)?;
        judge.sum("averages y", &got.predicted, &want.y, cells)?;
        judge.sum("averages dx", &got.dx[0], &want.dx, self.overlap())
    }
}

#[test]
fn max_pools() {
    cases(64, pools(), |pool, judge| {
        let layer = || MaxPool2D::new(pool.size).strides(pool.strides).padding(pool.padding).into();
        pool.max(layer, judge)
    });
}

#[test]
fn average_pools() {
    cases(64, pools(), |pool, judge| {
        let layer = AveragePooling2D::new(pool.size).strides(pool.strides).padding(pool.padding);
        pool.average(|| layer.clone().into(), judge)
    });
}

#[test]
fn global_pools() {
    cases(48, global(), |pool, judge| {
        pool.max(|| GlobalMaxPool2D::new().into(), judge)?;
        pool.average(|| GlobalAveragePooling2D::new().into(), judge)
    });
}
