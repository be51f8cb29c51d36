//! Whole training steps — forward, loss, backward, Adam — in images/s: `cargo bench train`.

#[path = "common/networks.rs"]
mod networks;

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};
use networks::{Case, NETWORKS, compiled, samples};

/// Steps on the same images before the clock runs, after which the loss must have fallen.
const CHECKED: u64 = 10;

fn bench(criterion: &mut Criterion, n: usize, case: &Case) {
    let mut group = criterion.benchmark_group("train");
    group.throughput(Throughput::Elements(n as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(10).nresamples(2000);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    let mut ready = None;
    group.bench_function(format!("{} ({n})", case.0), |bencher| {
        let (model, images, labels, seed) = ready.get_or_insert_with(|| {
            let mut model = compiled(case).expect("the network takes its images");
            let (images, labels) = samples(n, case);
            let mut step = |seed| model.train_on_batch(&images, &labels, seed).expect("it learns");
            let first = step(0);
            let last = (1..CHECKED).map(&mut step).last().unwrap_or(first);
            assert!(last < first, "{}: the loss went from {first} to {last}", case.0);
            (model, images, labels, CHECKED)
        });
        bencher.iter_custom(|times| {
            // On a thread of the pool, as in `fit`.
            rayon::scope(|_| {
                let start = Instant::now();
                for _ in 0..times {
                    model.train_on_batch(&*images, &*labels, *seed).expect("it learns");
                    *seed += 1;
                }
                start.elapsed()
            })
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for case in &NETWORKS {
        bench(&mut criterion, 32, case);
    }
    bench(&mut criterion, 128, &NETWORKS[0]);
    criterion.final_summary();
}
