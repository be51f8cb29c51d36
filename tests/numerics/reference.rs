//! The definitions, in `f64`: each as plain as it can be said.

use std::iter::Sum;
use std::ops::{Add, Mul};

use convnet::layers::Padding;

/// A value, and its size: what the value would be if nothing in it cancelled, `Σ |a|·|b|` for sums of
/// products.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Number {
    pub(crate) value: f64,
    pub(crate) size: f64,
}

impl Number {
    /// A value that nothing was lost in.
    pub(crate) fn exact(value: f64) -> Self {
        Self { value, size: value.abs() }
    }
}

impl Add for Number {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, size: self.size + other.size }
    }
}

impl Mul for Number {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self { value: self.value * other.value, size: self.size * other.size }
    }
}

impl Sum for Number {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::default(), |sum, number| sum + number)
    }
}

pub(crate) fn exact(floats: &[f32]) -> Vec<Number> {
    floats.iter().map(|&float| Number::exact(float.into())).collect()
}

/// How a window moves along one axis of an image, as Keras defines it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) image: usize,
    pub(crate) kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    pub(crate) output: usize,
}

impl Axis {
    /// The image is made large enough for one window.
    pub(crate) fn new(
        image: usize,
        [kernel, stride, dilation]: [usize; 3],
        padding: Padding,
    ) -> Self {
        let extent = (kernel - 1) * dilation + 1;
        match padding {
            Padding::Valid => {
                let image = image.max(extent);
                let output = (image - extent) / stride + 1;
                Self { image, kernel, stride, dilation, before: 0, output }
            }
            Padding::Same => {
                let output = image.div_ceil(stride);
                let padded = ((output - 1) * stride + extent).saturating_sub(image);
                Self { image, kernel, stride, dilation, before: padded / 2, output }
            }
        }
    }

    /// The cell of the image under a cell of the kernel, unless that lies beside the image.
    fn under(&self, output: usize, tap: usize) -> Option<usize> {
        let cell = (output * self.stride + tap * self.dilation).checked_sub(self.before)?;
        (cell < self.image).then_some(cell)
    }
}

/// Calls `f(output, tap, cell)` with the number of a window, of a cell in it, and of the pixel under it.
pub(crate) fn each_tap([down, right]: [Axis; 2], n: usize, mut f: impl FnMut(usize, usize, usize)) {
    for image in 0..n {
        for (oy, ox) in (0..down.output).flat_map(|y| (0..right.output).map(move |x| (y, x))) {
            let output = (image * down.output + oy) * right.output + ox;
            for (ky, kx) in (0..down.kernel).flat_map(|y| (0..right.kernel).map(move |x| (y, x))) {
                if let (Some(y), Some(x)) = (down.under(oy, ky), right.under(ox, kx)) {
                    let pixel = (image * down.image + y) * right.image + x;
                    f(output, ky * right.kernel + kx, pixel);
                }
            }
        }
    }
}

/// What is linear in an input and a kernel: `y = Σ x·w`, and with that both gradients.
#[derive(Debug)]
pub(crate) struct Bilinear {
    pub(crate) y: Vec<Number>,
    pub(crate) dx: Vec<Number>,
    pub(crate) dw: Vec<Number>,
}

impl Bilinear {
    /// `products` calls what it is given with the places in `x`, `w` and `y` of every product.
    pub(crate) fn new(
        x: &[Number],
        w: &[Number],
        dy: &[Number],
        products: impl FnOnce(&mut dyn FnMut([usize; 3])),
    ) -> Self {
        let [mut y, mut dx, mut dw] = [dy, x, w].map(|like| vec![Number::default(); like.len()]);
        products(&mut |[i, j, k]| {
            y[k] = y[k] + x[i] * w[j];
            dx[i] = dx[i] + dy[k] * w[j];
            dw[j] = dw[j] + dy[k] * x[i];
        });
        Self { y, dx, dw }
    }
}

/// Adds `bias` to rows of as many numbers.
pub(crate) fn add_bias(y: &mut [Number], bias: &[f32]) {
    for (y, bias) in y.iter_mut().zip(exact(bias).iter().cycle()) {
        *y = *y + *bias;
    }
}

/// The sum of each column of rows of `c` numbers.
pub(crate) fn column_sums(numbers: &[Number], c: usize) -> Vec<Number> {
    (0..c).map(|j| numbers.iter().skip(j).step_by(c).copied().sum()).collect()
}

/// `erfc(z)` for `z ≥ 0`: the series of Abramowitz & Stegun 7.1.6 near 0, the continued fraction 7.1.14
/// beyond.
pub(crate) fn erfc(z: f64) -> f64 {
    let density = 2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp();
    if z < 2.5 {
        let (mut term, mut sum) = (z, z);
        for k in 1..120 {
            term *= 2.0 * z * z / f64::from(2 * k + 1);
            sum += term;
        }
        1.0 - density * sum
    } else {
        let fraction = (1..200).rev().fold(0.0, |rest, k| f64::from(k) / 2.0 / (z + rest));
        density / (2.0 * (z + fraction))
    }
}

/// How likely a standard normal number is to be less.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    let tail = erfc(x.abs() / 2.0_f64.sqrt()) / 2.0;
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The slope of a function, by differences: good for 8 digits of what is smooth and of size 1.
pub(crate) fn slope(f: impl Fn(f64) -> f64, x: f64) -> f64 {
    let h = 1e-4 * x.abs().max(1.0);
    // Of the fourth order.
    (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
}

/// The reference judged itself: its gradients are the slopes of its values.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_is_that_of_tables() {
        for (x, known) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-2.0, 0.022_750_131_948_179_2),
            (-5.0, 2.866_515_718_791_939e-7),
            (-3.6, 1.591_085_901_575_338e-4),
        ] {
            assert!((normal_cdf(x) / known - 1.0).abs() < 1e-12, "{x}: {}", normal_cdf(x));
        }
    }

    #[test]
    fn gradients_of_a_bilinear_form_are_its_adjoints() {
        let axes =
            [Axis::new(5, [3, 1, 2], Padding::Same), Axis::new(4, [2, 2, 1], Padding::Valid)];
        let numbers = |len: usize, step: f64| -> Vec<Number> {
            (0..len).map(|i| Number::exact((i as f64 * step).sin())).collect()
        };
        let (x, w) = (numbers(2 * 20, 1.3), numbers(6, 0.7));
        let dy = numbers(2 * axes[0].output * axes[1].output, 2.1);
        let of = Bilinear::new(&x, &w, &dy, |product| {
            each_tap(axes, 2, |output, tap, pixel| product([pixel, tap, output]));
        });
        let dot = |a: &[Number], b: &[Number]| -> f64 {
            a.iter().zip(b).map(|(a, b)| a.value * b.value).sum()
        };
        let wanted = dot(&of.y, &dy);
        assert!(wanted.abs() > 0.1);
        assert!((dot(&of.dx, &x) - wanted).abs() < 1e-12);
        assert!((dot(&of.dw, &w) - wanted).abs() < 1e-12);
    }
}
