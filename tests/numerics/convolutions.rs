//! Convolutions: plain, in groups, depthwise and separable.

use convnet::layers::{LayerSpec, Padding};
use convnet::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::bench::Bench;
use crate::numbers::{self, Kind, Numbers};
use crate::reference::{Axis, Bilinear, Number, add_bias, column_sums, each_tap, exact};
use crate::trying::{Judge, UNIT, cases, of_sum};

/// A window over images, and a batch of them.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    n: usize,
    axes: [Axis; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilation: [usize; 2],
    padding: Padding,
}

impl Geometry {
    /// Fewer samples where each costs many products, so that a case takes a blink: at most so many.
    fn affordable(mut self, products: usize) -> Self {
        const MOST: usize = 6_000_000;
        let [down, right] = self.axes;
        let each = down.output * right.output * down.kernel * right.kernel * products;
        self.n = self.n.min(MOST / each).max(1);
        self
    }

    fn outputs(&self) -> usize {
        self.n * self.axes[0].output * self.axes[1].output
    }

    fn pixels(&self) -> usize {
        self.n * self.axes[0].image * self.axes[1].image
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn shape(&self, channels: usize) -> convnet::Shape {
        [self.axes[0].image, self.axes[1].image, channels].into()
    }
}

/// Images of up to 14×14 pixels, with strides or a dilation.
fn geometries(kernels: impl Strategy<Value = [usize; 2]>) -> impl Strategy<Value = Geometry> {
    let sizes = ([1..15usize, 1..15], kernels, [1..4usize, 1..4], [1..4usize, 1..4]);
    (1..41usize, sizes, any::<bool>(), any::<bool>()).prop_map(
        |(n, (size, kernel, strides, dilation), strided, same)| {
            let (strides, dilation) = if strided { (strides, [1, 1]) } else { ([1, 1], dilation) };
            let padding = if same { Same } else { Valid };
            let axes =
                [0, 1].map(|i| Axis::new(size[i], [kernel[i], strides[i], dilation[i]], padding));
            Geometry { n, axes, kernel, strides, dilation, padding }
        },
    )
}

fn kernels() -> impl Strategy<Value = [usize; 2]> {
    prop_oneof![5 => [1..6usize, 1..6usize], 1 => [1..12usize, 1..12usize]]
}

/// Zero gradients where a number is so near zero that rounding decides whether ReLU lets it pass.
fn undecided(y: &[Number], terms: usize, dy: &mut [f32]) {
    for (y, dy) in y.iter().zip(dy) {
        if y.value.abs() <= of_sum(terms) * UNIT * y.size {
            *dy = 0.0;
        }
    }
}

/// `y` and its gradient behind ReLU.
fn rectified(y: &mut [Number], dy: &mut [Number]) {
    for (y, dy) in y.iter_mut().zip(dy) {
        if y.value < 0.0 {
            (y.value, *dy) = (0.0, Number::default());
        }
    }
}

/// What a convolution is beside its window.
#[derive(Clone, Copy, Debug)]
struct Filters {
    channels: usize,
    filters: usize,
    groups: usize,
    bias: bool,
    relu: bool,
    exact: bool,
    in_lanes: bool,
}

impl Filters {
    /// Whether `exact(false)` means Winograd's way: at least 32 channels and filters of a group, and
    /// strides and dilation of 1. A batch in lanes goes another way, but few such are worth lanes.
    fn winograd(&self, window: &Geometry) -> bool {
        let many = (self.channels / self.groups).min(self.filters / self.groups) >= 32;
        let square = matches!(window.kernel, [3, 3] | [5, 5]);
        many && square && !self.exact && [window.strides, window.dilation] == [[1, 1]; 2]
    }
}

fn conv2d(
    (window, of, numbers): (Geometry, Filters, Numbers),
    judge: &Judge,
) -> Result<(), TestCaseError> {
    let Filters { channels, filters, groups, .. } = of;
    let [c, f] = [channels / groups, filters / groups];
    let window = window.affordable(c * filters);
    let x = numbers.floats(1, window.pixels() * channels);
    let w = numbers.floats(2, window.taps() * c * filters);
    let bias = numbers.floats(3, if of.bias { filters } else { 0 });
    let mut dy = numbers.floats(4, window.outputs() * filters);

    let products = |product: &mut dyn FnMut([usize; 3])| {
        each_tap(window.axes, window.n, |output, tap, pixel| {
            for (channel, filter) in (0..c).flat_map(|c| (0..filters).map(move |f| (c, f))) {
                let group = filter / f;
                product([
                    pixel * channels + group * c + channel,
                    (tap * c + channel) * filters + filter,
                    output * filters + filter,
                ]);
            }
        });
    };
    let [forward, backward, weights] = [window.taps() * c + 1, window.taps() * f, window.outputs()];
    let mut want_dy = exact(&dy);
    let mut want = Bilinear::new(&exact(&x), &exact(&w), &want_dy, products);
    add_bias(&mut want.y, &bias);
    let mut y = want.y;
    if of.relu {
        undecided(&y, forward, &mut dy);
        want_dy = exact(&dy);
        rectified(&mut y, &mut want_dy);
        want = Bilinear::new(&exact(&x), &exact(&w), &want_dy, products);
    }
    let dbias = column_sums(&want_dy, filters);

    let layer = || {
        Conv2D::new(filters, window.kernel)
            .strides(window.strides)
            .dilation_rate(window.dilation)
            .padding(window.padding)
            .groups(groups)
            .use_bias(of.bias)
            .exact(of.exact)
            .activation(if of.relu { Relu } else { Linear })
            .into()
    };
    let mut named = vec![("kernel", &w[..]), ("bias", &bias)];
    named.truncate(1 + usize::from(of.bias));
    let bench = Bench {
        n: window.n,
        inputs: vec![(window.shape(channels), &x)],
        weights: named,
        in_lanes: of.in_lanes,
    };
    let got = bench.run(layer, &dy);
    let way = if of.winograd(&window) { "Winograd" } else { "Conv2D" };
    let compare = |what: &str, got: &[f32], want: &[Number], terms| {
        let what = format!("{way} {what}");
        if of.winograd(&window) {
            judge.share(&what, got, want, 1.2e-5)
        } else {
            judge.sum(&what, got, want, terms)
        }
    };
    compare("y", &got.y, &y, forward)?;
    compare("y", &got.predicted, &y, forward)?;
    compare("dx", &got.dx[0], &want.dx, backward)?;
    for dw in got.gradients("kernel") {
        compare("dw", dw, &want.dw, weights)?;
    }
    if of.bias {
        for dbias_got in got.gradients("bias") {
            judge.sum("Conv2D dbias", dbias_got, &dbias, window.outputs())?;
        }
    }
    Ok(())
}

#[test]
fn convolutions_of_any_size() {
    let filters = (prop_oneof![3 => Just(1), 1 => 2..9usize], 1..71usize, 1..71usize);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let of = (filters, flags).prop_map(|((groups, c, f), (bias, relu, exact, in_lanes))| {
        let whole = |count: usize| count.div_ceil(groups) * groups;
        let [channels, filters] = [whole(c), whole(f)];
        Filters { channels, filters, groups, bias, relu, exact, in_lanes }
    });
    // Wide numbers and Winograd's bound, which is one of the largest number, do not go together.
    let strategy = (geometries(kernels()), of, numbers::any()).prop_map(|(window, of, numbers)| {
        let exact = of.exact || !matches!(numbers.kind, Kind::Even);
        (window, Filters { exact, ..of }, numbers)
    });
    cases(48, strategy, conv2d);
}

/// As small networks have them, which take samples in lanes.
#[test]
fn convolutions_with_few_channels() {
    let filters = (1..8usize, 1..32usize, any::<bool>(), any::<bool>());
    let of = filters.prop_map(|(channels, filters, bias, relu)| Filters {
        channels,
        filters,
        groups: 1,
        bias,
        relu,
        exact: false,
        in_lanes: true,
    });
    cases(32, (geometries(kernels()), of, numbers::any()), conv2d);
}

#[test]
fn convolutions_with_many_channels() {
    let kernels = prop_oneof![Just([3, 3]), Just([5, 5])];
    let geometry = geometries(kernels).prop_map(|geometry| {
        let axes =
            geometry.axes.map(|axis| Axis::new(axis.image, [axis.kernel, 1, 1], geometry.padding));
        Geometry { axes, strides: [1, 1], dilation: [1, 1], ..geometry }
    });
    let filters = (32..71usize, 32..71usize, 1..3usize, any::<bool>(), any::<bool>());
    let of = filters.prop_map(|(channels, filters, groups, bias, relu)| {
        let [channels, filters] = [channels * groups, filters * groups];
        Filters { channels, filters, groups, bias, relu, exact: false, in_lanes: false }
    });
    cases(16, (geometry, of, numbers::even()), conv2d);
}

#[test]
fn kernels_larger_than_their_image_broke_the_gradients_in_lanes() {
    let sizes = (1..4).flat_map(|h| (1..4).map(move |w| [h, w]));
    for (size, kh) in sizes.flat_map(|size| (1..8).map(move |kh| (size, kh))) {
        for (kw, stride) in [(1, 1), (2, 1), (3, 2), (7, 3)] {
            let (kernel, strides) = ([kh, kw], [stride; 2]);
            let axes = [0, 1].map(|i| Axis::new(size[i], [kernel[i], stride, 1], Same));
            let window = Geometry { n: 17, axes, kernel, strides, dilation: [1, 1], padding: Same };
            for [channels, filters] in [[1, 1], [2, 3], [3, 17]] {
                let of = Filters {
                    channels,
                    filters,
                    groups: 1,
                    bias: true,
                    relu: false,
                    exact: false,
                    in_lanes: true,
                };
                conv2d((window, of, numbers::FIXED), &Judge::default()).unwrap();
            }
        }
    }
}

#[test]
fn depthwise_convolutions() {
    let of = (1..71usize, 1..4usize, any::<bool>(), any::<bool>());
    let strategy = (geometries(kernels()), of, numbers::any());
    cases(48, strategy, |(window, (c, m, has_bias, relu), numbers), judge| {
        let window = window.affordable(c * m);
        let x = numbers.floats(1, window.pixels() * c);
        let w = numbers.floats(2, window.taps() * c * m);
        let bias = numbers.floats(3, if has_bias { c * m } else { 0 });
        let mut dy = numbers.floats(4, window.outputs() * c * m);
        let products = |product: &mut dyn FnMut([usize; 3])| depthwise(&window, [c, m], product);
        let mut want_dy = exact(&dy);
        let mut want = Bilinear::new(&exact(&x), &exact(&w), &want_dy, products);
        add_bias(&mut want.y, &bias);
        let mut y = want.y;
        if relu {
            undecided(&y, window.taps() + 1, &mut dy);
            want_dy = exact(&dy);
            rectified(&mut y, &mut want_dy);
            want = Bilinear::new(&exact(&x), &exact(&w), &want_dy, products);
        }
        let layer = || {
            let layer = DepthwiseConv2D::new(window.kernel).depth_multiplier(m);
            let layer = layer.strides(window.strides).dilation_rate(window.dilation);
            let layer = layer.padding(window.padding).use_bias(has_bias);
            layer.activation(if relu { Relu } else { Linear }).into()
        };
        let mut weights = vec![("kernel", &w[..]), ("bias", &bias)];
        weights.truncate(1 + usize::from(has_bias));
        let inputs = vec![(window.shape(c), &x[..])];
        let bench = Bench { n: window.n, inputs, weights, in_lanes: false };
        let got = bench.run(layer, &dy);
        judge.sum("DepthwiseConv2D y", &got.y, &y, window.taps() + 1)?;
        judge.sum("DepthwiseConv2D y", &got.predicted, &y, window.taps() + 1)?;
        judge.sum("DepthwiseConv2D dx", &got.dx[0], &want.dx, window.taps() * m)?;
        for dw in got.gradients("kernel") {
            judge.sum("DepthwiseConv2D dw", dw, &want.dw, window.outputs())?;
        }
        if has_bias {
            let want = column_sums(&want_dy, c * m);
            for dbias in got.gradients("bias") {
                judge.sum("DepthwiseConv2D dbias", dbias, &want, window.outputs())?;
            }
        }
        Ok(())
    });
}

/// Every product of a depthwise convolution of `c` channels, each with `m` kernels of its own.
fn depthwise(window: &Geometry, [c, m]: [usize; 2], product: &mut dyn FnMut([usize; 3])) {
    each_tap(window.axes, window.n, |output, tap, pixel| {
        for (channel, k) in (0..c).flat_map(|c| (0..m).map(move |m| (c, m))) {
            let [w, y] = [tap, output].map(|place| (place * c + channel) * m + k);
            product([pixel * c + channel, w, y]);
        }
    });
}

/// Two sums, one after the other: the bound is that of as many terms as both have.
#[test]
fn separable_convolutions() {
    let of = (1..41usize, 1..3usize, 1..71usize);
    let strategy = (geometries(kernels()), of, numbers::any());
    cases(24, strategy, |(window, (c, m, filters), numbers), judge| {
        let window = window.affordable(c * m * (1 + filters / window.taps()));
        let mixed = c * m;
        let x = numbers.floats(1, window.pixels() * c);
        let w = numbers.floats(2, window.taps() * mixed);
        let mix = numbers.floats(3, mixed * filters);
        let bias = numbers.floats(4, filters);
        let dy = numbers.floats(5, window.outputs() * filters);

        let first = |product: &mut dyn FnMut([usize; 3])| depthwise(&window, [c, m], product);
        let second = |product: &mut dyn FnMut([usize; 3])| {
            for i in 0..window.outputs() * mixed * filters {
                let (row, channel, filter) =
                    (i / filters / mixed, i / filters % mixed, i % filters);
                product([row * mixed + channel, i % (mixed * filters), row * filters + filter]);
            }
        };
        let nothing = vec![Number::default(); window.outputs() * mixed];
        let between = Bilinear::new(&exact(&x), &exact(&w), &nothing, first).y;
        let mut outer = Bilinear::new(&between, &exact(&mix), &exact(&dy), second);
        add_bias(&mut outer.y, &bias);
        let inner = Bilinear::new(&exact(&x), &exact(&w), &outer.dx, first);

        let layer = || -> LayerSpec {
            let layer = SeparableConv2D::new(filters, window.kernel).depth_multiplier(m);
            let layer = layer.strides(window.strides).dilation_rate(window.dilation);
            layer.padding(window.padding).into()
        };
        let weights =
            vec![("depthwise_kernel", &w[..]), ("pointwise_kernel", &mix), ("bias", &bias)];
        let inputs = vec![(window.shape(c), &x[..])];
        let bench = Bench { n: window.n, inputs, weights, in_lanes: false };
        let got = bench.run(layer, &dy);
        let [taps, outputs] = [window.taps(), window.outputs()];
        judge.sum("SeparableConv2D y", &got.y, &outer.y, taps + mixed + 1)?;
        judge.sum("SeparableConv2D y", &got.predicted, &outer.y, taps + mixed + 1)?;
        judge.sum("SeparableConv2D dx", &got.dx[0], &inner.dx, taps * m + filters)?;
        for dw in got.gradients("depthwise_kernel") {
            judge.sum("SeparableConv2D depthwise dw", dw, &inner.dw, outputs + filters)?;
        }
        for dw in got.gradients("pointwise_kernel") {
            judge.sum("SeparableConv2D pointwise dw", dw, &outer.dw, outputs + taps)?;
        }
        for dbias in got.gradients("bias") {
            let want = column_sums(&exact(&dy), filters);
            judge.sum("SeparableConv2D dbias", dbias, &want, outputs)?;
        }
        Ok(())
    });
}
