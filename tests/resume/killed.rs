//! Processes that train and are killed at any moment, and started again on other numbers of threads.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use convnet::callbacks::{BackupAndRestore, SaveFreq};
use convnet::prelude::*;

use crate::{bits, data, model, settings};

/// Where the child is to keep its backup and to write what comes of it, and which training it is.
const FOLDER: &str = "CONVNET_TEST_TRAIN_IN";
const KIND: &str = "CONVNET_TEST_TRAINING";

/// Enough to take a while.
const SAMPLES: usize = 4000;

fn train(folder: &Path, stopping: bool) {
    let (x, y) = data(SAMPLES);
    let mut model = model();
    // Early stopping ends the first of them, the number of epochs the other.
    let mut fit = settings().epochs(if stopping { 1000 } else { 6 });
    if stopping {
        let stopping = EarlyStopping::new(Monitor::ValLoss).min_delta(0.01).patience(3);
        fit = fit.callback(stopping.restore_best_weights(true));
    }
    // Never where an epoch or a step of 5 batches ends, as it comes.
    let every = SaveFreq::Batches(if stopping { 97 } else { 23 });
    let fit = fit
        .callback(CSVLogger::new(folder.join("log.csv")))
        .callback(BackupAndRestore::new(folder.join("backup")).save_freq(every));
    let history = model.fit(&x, &y, fit).unwrap();
    let bytes: Vec<u8> = bits(&model, &history).iter().flat_map(|b| b.to_le_bytes()).collect();
    fs::write(folder.join("unfinished"), bytes).unwrap();
    fs::rename(folder.join("unfinished"), folder.join("result")).unwrap();
}

/// Not a test but the process that is killed: trains, if it was told where.
#[test]
fn child() {
    if let Some(folder) = env::var_os(FOLDER) {
        train(folder.as_ref(), env::var(KIND).is_ok_and(|kind| kind == "stopping"));
    }
}

fn start(folder: &Path, stopping: bool, threads: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::child"])
        .env(FOLDER, folder)
        .env(KIND, if stopping { "stopping" } else { "epochs" })
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What comes of a training that runs through, and how long it takes.
fn run_through(stopping: bool) -> ([Vec<u8>; 2], Duration) {
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    assert!(start(folder.path(), stopping, 2).wait().unwrap().success());
    (results(folder.path()), started.elapsed())
}

fn results(folder: &Path) -> [Vec<u8>; 2] {
    ["result", "log.csv"].map(|name| fs::read(folder.join(name)).unwrap())
}

/// Kills and resumes a training until it comes to its end: how often, and how often there was a backup.
/// A process lives for up to an eighth of `time`.
fn killed_until_it_ends(folder: &Path, stopping: bool, time: Duration) -> (usize, usize) {
    let (mut kills, mut resumed, mut number) = (0, 0, 1u64);
    loop {
        assert!(kills < 1000, "it never ends");
        resumed += usize::from(folder.join("backup/backup.safetensors").exists());
        let mut child = start(folder, stopping, 1 + kills % 3);
        // Any moment (Lehmer's generator).
        number = number * 48_271 % 0x7fff_ffff;
        let life = time.mul_f64(0.01 + 0.12 * number as f64 / f64::from(0x7fff_ffff));
        let born = Instant::now();
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if born.elapsed() > life => break None,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if let Some(status) = ended {
            assert!(status.success(), "it ended with {status}");
            return (kills, resumed);
        }
        child.kill().unwrap();
        assert!(matches!(child.wait().unwrap().signal(), Some(9) | None));
        kills += 1;
        if folder.join("result").exists() {
            return (kills, resumed);
        }
    }
}

fn killed_at_many_moments(stopping: bool) {
    let (expected, mut time) = run_through(stopping);
    loop {
        let folder = tempfile::tempdir().unwrap();
        let (kills, resumed) = killed_until_it_ends(folder.path(), stopping, time);
        let results = results(folder.path());
        assert!(results[0] == expected[0], "weights and history differ after {kills} kills");
        let [log, expected] = [&results[1], &expected[1]].map(|log| String::from_utf8_lossy(log));
        assert_eq!(log, expected);
        assert!(!folder.path().join("backup").exists());
        if kills >= 8 && resumed >= 6 {
            return;
        }
        // The machine was slow while the time was taken.
        time /= 2;
    }
}

#[test]
fn killed_and_started_again_a_training_ends_with_the_same_bits() {
    killed_at_many_moments(false);
}

#[test]
fn killed_and_started_again_early_stopping_finds_the_same_weights() {
    killed_at_many_moments(true);
}
