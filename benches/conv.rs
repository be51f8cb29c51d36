//! Convolutions alone, each direction, with the share of this machine's peak they reach:
//! `cargo bench conv`.

#[path = "common/convolutions.rs"]
mod convolutions;

use std::time::{Duration, Instant};

use convnet::bench::peak;
use convnet::layers::Padding::{Same, Valid};
use convolutions::{Case, DIRECTIONS, NETWORKS, convolution};
use criterion::{Criterion, SamplingMode, Throughput};

/// Sizes that fill no tile, with the number of images.
const AWKWARD: [(usize, Case); 9] = [
    (1, ("one image, few filters", [14, 14, 6], 16, 5, 1, Valid)),
    (1, ("one image, many filters", [13, 13, 256], 384, 3, 1, Same)),
    (17, ("17 images", [14, 14, 6], 16, 5, 1, Valid)),
    (32, ("one channel", [56, 56, 1], 64, 3, 1, Same)),
    (32, ("1×1", [28, 28, 64], 64, 1, 1, Valid)),
    (32, ("1×1, prime", [23, 23, 37], 41, 1, 1, Valid)),
    (7, ("prime", [31, 29, 13], 37, 7, 1, Same)),
    (32, ("stride larger than kernel", [57, 57, 16], 32, 2, 3, Valid)),
    (2, ("large image", [320, 320, 3], 16, 3, 1, Same)),
];

/// Of each result so many numbers, evenly spread, are compared with the definition.
const CHECKED: usize = 61;

/// The largest error, over the largest number: three times what is documented for the fast way,
/// since sums of the checked gradients are longer.
const TOLERANCE: f64 = 4e-5;

/// Along one axis every output with the cells of the kernel that lie on the image, and which cells of
/// the image are under them: `(output, tap, cell)`.
fn taps(cells: usize, outputs: usize, &(_, _, _, k, s, padding): &Case) -> Vec<[usize; 3]> {
    let before = match padding {
        Same => ((outputs - 1) * s + k).saturating_sub(cells) / 2,
        Valid => 0,
    };
    let pairs = (0..outputs).flat_map(|o| (0..k).map(move |tap| (o, tap)));
    let placed = pairs.map(|(o, tap)| [o, tap, (o * s + tap).wrapping_sub(before)]);
    placed.filter(|&[_, _, cell]| cell < cells).collect()
}

/// Compares numbers of `y`, `dx` and `dw` with their definition in double precision.
fn check(n: usize, case: &Case, [x, w, dy]: &[Vec<f32>; 3], results: &[Vec<f32>; 3]) {
    let &(name, [height, width, c], f, k, s, padding) = case;
    let [oh, ow] = [height, width].map(|cells| match padding {
        Same => cells.div_ceil(s),
        Valid => (cells - k) / s + 1,
    });
    let (down, across) = (taps(height, oh, case), taps(width, ow, case));
    // The dimensions of each result.
    let dims = [[n, oh, ow, f], [n, height, width, c], [k, k, c, f]];
    for (direction, ([_, d1, d2, d3], result)) in dims.into_iter().zip(results).enumerate() {
        let largest = result.iter().fold(0.0_f64, |most, &y| most.max(f64::from(y.abs())));
        for at in (0..result.len()).step_by(result.len().div_ceil(CHECKED)) {
            let [a, b, e, g] = [at / (d1 * d2 * d3), at / (d2 * d3) % d1, at / d3 % d2, at % d3];
            // Which products belong to the number; `(0, b)`: those of output `b`, 1: of a tap, 2: of a cell.
            let (images, rows, columns, channels, filters) = match direction {
                0 => (a..a + 1, (0, b), (0, e), 0..c, g..g + 1),
                1 => (a..a + 1, (2, b), (2, e), g..g + 1, 0..f),
                _ => (0..n, (1, a), (1, b), e..e + 1, g..g + 1),
            };
            let mut sum = 0.0;
            for [oy, ky, iy] in down.iter().filter(|tap| tap[rows.0] == rows.1) {
                for [ox, kx, ix] in across.iter().filter(|tap| tap[columns.0] == columns.1) {
                    for i in images.clone() {
                        for c_in in channels.clone() {
                            for f_out in filters.clone() {
                                let x = x[((i * height + iy) * width + ix) * c + c_in];
                                let w = w[((ky * k + kx) * c + c_in) * f + f_out];
                                let dy = dy[((i * oh + oy) * ow + ox) * f + f_out];
                                let (a, b) = [(x, w), (w, dy), (x, dy)][direction];
                                sum += f64::from(a) * f64::from(b);
                            }
                        }
                    }
                }
            }
            let got = f64::from(result[at]);
            assert!(
                (got - sum).abs() <= TOLERANCE * largest,
                "{name}: number {at} of {} is {got}, not {sum}",
                DIRECTIONS[direction].0
            );
        }
    }
}

/// Times a convolution and adds its row to the table: GFLOP/s in each direction, of the fastest sample,
/// since the peak is that of the fastest round. Other programs slow down either; how much they did is
/// in the intervals that are printed for each direction.
fn bench(criterion: &mut Criterion, n: usize, case: &Case, table: &mut Vec<(String, [f64; 3])>) {
    let mut group = criterion.benchmark_group(format!("conv/{} ({n})", case.0));
    let (mut convolution, arrays) = convolution(n, case);
    group.throughput(Throughput::Elements(convolution.flops() as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(60).nresamples(2000);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(1200));
    let mut checked = false;
    let figures = DIRECTIONS.map(|(direction, run)| {
        let mut fastest = 0.0_f64;
        group.bench_function(direction, |bencher| {
            if !checked {
                DIRECTIONS.iter().for_each(|(_, run)| run(&mut convolution));
                check(n, case, &arrays, &convolution.results());
                checked = true;
            }
            bencher.iter_custom(|times| {
                // On a thread of the pool, as in a training step.
                let took = rayon::scope(|_| {
                    let start = Instant::now();
                    (0..times).for_each(|_| run(&mut convolution));
                    start.elapsed()
                });
                let flops = times as f64 * convolution.flops() as f64;
                fastest = fastest.max(flops / took.as_secs_f64() / 1e9);
                took
            });
        });
        fastest
    });
    group.finish();
    if checked {
        table.push((format!("{} ({n})", case.0), figures));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut table = Vec::new();
    let before = peak();
    for case in &NETWORKS {
        bench(&mut criterion, 32, case, &mut table);
    }
    for (n, case) in &AWKWARD {
        bench(&mut criterion, *n, case, &mut table);
    }
    criterion.final_summary();
    if table.is_empty() {
        return;
    }
    let (peak, threads) = (peak().max(before) / 1e9, rayon::current_num_threads());
    println!(
        "\nFMA peak of {threads} threads: {peak:.0} GFLOP/s. Fastest samples in GFLOP/s and % of it:\n"
    );
    let [forward, input, weights] = DIRECTIONS.map(|(direction, _)| direction);
    println!("{:30} {forward:>16} {input:>16} {weights:>16}", "(images)");
    for (name, figures) in table {
        let [forward, input, weights] =
            figures.map(|rate| format!("{rate:.0} ({:.0} %)", 100.0 * rate / peak));
        println!("{name:30} {forward:>16} {input:>16} {weights:>16}");
    }
}
