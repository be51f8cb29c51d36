//! Predictions of trained networks, in images/s: `cargo bench infer`.

#[path = "common/networks.rs"]
mod networks;

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use networks::{Case, NETWORKS, compiled, samples};

fn bench(criterion: &mut Criterion, n: usize, case: &Case) {
    let mut group = criterion.benchmark_group("infer");
    group.throughput(Throughput::Elements(n as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(10).nresamples(2000);
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

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for case in &NETWORKS {
        bench(&mut criterion, 1, case);
        bench(&mut criterion, 32, case);
    }
    criterion.final_summary();
}
