//! Predictions of trained networks, in images/s: `cargo bench infer`.

#[path = "common/networks.rs"]
mod networks;

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use criterion::{criterion_group, criterion_main};
use networks::{Case, NETWORKS, compiled, samples};

fn bench(criterion: &mut Criterion, n: usize, case: &Case) {
    let mut group = criterion.benchmark_group("infer");
    group.throughput(Throughput::Elements(n as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(10).nresamples(1000);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    let mut ready = None;
    group.bench_function(format!("{} ({n})", case.0), |bencher| {
        let (model, images) = ready.get_or_insert_with(|| {
            let model = compiled(case).expect("the network takes its images").into_model();
            let (images, _) = samples(n, case);
            let classes = model.predict(&images).expect("the images fit");
            for probabilities in classes.outer_iter() {
                let sum = probabilities.sum();
                assert!((sum - 1.0).abs() < 1e-5, "{}: probabilities add up to {sum}", case.0);
            }
            (model, images)
        });
        bencher.iter(|| model.predict(&*images).expect("the images fit"));
    });
}

fn all(criterion: &mut Criterion) {
    for case in &NETWORKS {
        bench(criterion, 1, case);
        bench(criterion, 32, case);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
