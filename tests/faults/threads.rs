//! Other numbers of threads, other people's pools, and several of us at once: the same bits.

use std::process::{Command, Stdio};

use convnet::prelude::*;
use ndarray::{Array2, Axis, Slice, s};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{bits, compiled, data, silent};

const SAMPLES: usize = 100;

/// What a training leaves.
fn trained(normal: bool) -> Vec<u32> {
    let (x, y) = data(SAMPLES);
    let mut model = compiled(normal);
    model.fit(&x, &y, silent().batch_size(64).epochs(2).validation_split(0.2)).unwrap();
    bits(&model)
}

/// What a step of a network leaves whose batches are worked on by all threads together.
fn large() -> Vec<u32> {
    let x = Input::new(600);
    let y = x.apply(Dense::new(500).activation(Relu)).unwrap().apply(Dense::new(3)).unwrap();
    let mut model = Model::new(&x, &y).unwrap().compile(SGD::new(0.1), MeanSquaredError, ());
    let inputs = Array2::from_shape_fn((40, 600), |(i, j)| ((i * 7 + j * 3) % 11) as f32 / 11.0);
    model.train_on_batch(&inputs, &Array2::<f32>::ones((40, 3)), 1).unwrap();
    bits(&model)
}

/// The bits in a line.
fn summed() -> String {
    let all = [trained(false), trained(true), large()].concat();
    let hash = all.iter().fold(0_u64, |hash, &bits| {
        (hash ^ u64::from(bits)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(5)
    });
    format!("bits {hash:016x}")
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// Not a test of its own but the process that the next one starts.
#[test]
fn child() {
    if std::env::var_os("CONVNET_TEST_THREADS").is_some() {
        println!("\n{}", summed());
    }
}

/// One, and what makes no sense: none, more than there are processors, and no number.
#[test]
fn any_number_of_threads_in_the_environment() {
    let expected = summed();
    for threads in ["1", "0", "33", "-3", "many", ""] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "threads::child", "--nocapture", "--test-threads", "1"])
            .env("CONVNET_TEST_THREADS", "1")
            .env("RAYON_NUM_THREADS", threads)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{threads:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.lines().any(|line| line == expected), "{threads:?}: {printed}");
    }
}

#[test]
fn inside_a_pool_of_ones_own() {
    let expected = [trained(false), trained(true), large()];
    for threads in [1, 3] {
        let found = pool(threads).install(|| [trained(false), trained(true), large()]);
        assert!(found == expected, "{threads} threads");
    }
}

#[test]
fn several_trainings_as_tasks_of_one_pool() {
    let expected = trained(true);
    for threads in [1, 2, 5] {
        let found: Vec<_> =
            pool(threads).install(|| (0..6).into_par_iter().map(|i| trained(i % 2 == 0)).collect());
        assert!(found.iter().step_by(2).all(|bits| *bits == expected), "{threads} threads");
    }
}

#[test]
fn two_trainings_at_once() {
    let expected = [trained(false), trained(true)];
    for _ in 0..3 {
        let found = std::thread::scope(|scope| {
            [false, true]
                .map(|normal| scope.spawn(move || trained(normal)))
                .map(|t| t.join().unwrap())
        });
        assert!(found == expected);
    }
}

#[test]
fn a_model_is_trained_on_by_another_thread() {
    let (x, y) = data(SAMPLES);
    let mut here = compiled(true);
    here.fit(&x, &y, silent().epochs(2)).unwrap();
    let mut there = compiled(true);
    there.fit(&x, &y, silent()).unwrap();
    let there = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            there.fit(&x, &y, silent().initial_epoch(1).epochs(2)).unwrap();
            there
        });
        thread.join().unwrap()
    });
    assert_eq!(bits(&here), bits(&there));
}

#[test]
fn a_shared_model_predicts_in_many_threads() {
    fn shareable<T: Send + Sync>(_: &T) {}
    let (x, _) = data(SAMPLES);
    let model = &compiled(true).into_model();
    shareable(model);
    let expected = &model.predict(&x).unwrap();
    let x = &x;
    let predict = |n: usize| {
        let part = x.slice(s![..n, .., .., ..]);
        let found = model.predict(&part).unwrap();
        assert_eq!(found, expected.slice_axis(Axis(0), Slice::from(..n)), "{n}");
    };
    // The same in batches of other sizes, one by one first.
    (1..=SAMPLES).for_each(predict);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || (0..25).for_each(|i| predict((thread * 25 + i) % SAMPLES + 1)));
        }
    });
    for threads in [1, 4] {
        pool(threads).install(|| (1..=SAMPLES).into_par_iter().for_each(predict));
    }
}
