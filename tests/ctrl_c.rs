//! Ctrl-C in the examples that train: the first ends after the current batch with a backup, from which
//! `--resume` goes on; the second ends at once.

#![cfg(unix)]

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Parser;
use convnet::prelude::*;
use ndarray::{Array2, Array4};

#[path = "../examples/common/training.rs"]
mod training;

/// Where the child is to train, with which options.
const FOLDER: &str = "CONVNET_TEST_CTRL_C_IN";
const OPTIONS: &str = "CONVNET_TEST_CTRL_C_WITH";

#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    training: training::Training,
    /// Wait in the middle of a batch until the program is ended
    #[arg(long)]
    stuck: bool,
}

/// Samples that take their time: two milliseconds each, or forever.
struct Slow {
    images: Array4<f32>,
    stuck: bool,
}

impl Samples for Slow {
    fn len(&self) -> usize {
        self.images.dim().0
    }
    fn shape(&self) -> convnet::Shape {
        self.images.shape()[1..].into()
    }
    fn load(&self, index: usize, _: Option<u64>, image: &mut [f32]) -> convnet::Result<()> {
        let pause = if self.stuck { Duration::MAX } else { Duration::from_millis(2) };
        std::thread::sleep(pause);
        let images = self.images.as_slice().unwrap();
        image.copy_from_slice(&images[index * image.len()..][..image.len()]);
        Ok(())
    }
}

/// Not a test but the program that is interrupted, if it was told where.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    env::set_current_dir(folder).unwrap();
    let options = env::var(OPTIONS).unwrap();
    let options = Options::parse_from(["child"].into_iter().chain(options.split_whitespace()));
    let n = 400;
    let labels = Array2::from_shape_fn((n, 2), |(i, class)| f32::from(u8::from(i % 2 == class)));
    let images = Array4::from_shape_fn((n, 4, 4, 1), |(i, y, x, _)| {
        ((i * 37 + y * 11 + x * 5) % 17) as f32 / 17.0
    });
    let image = Input::new([4, 4, 1]);
    let class = image.apply(Flatten::new()).unwrap();
    let class = class.apply(Dense::new(2).activation(Softmax)).unwrap();
    let images = Slow { images, stuck: options.stuck };
    options.training.set_threads().unwrap();
    let page = options.training.page("Even and odd");
    let (model, result) =
        options.training.run((&image, &class), n, &images, &labels, page).unwrap();
    options.training.report(model, result, &images, &labels, ["even", "odd"]).unwrap();
}

fn start(folder: &Path, options: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .env(OPTIONS, options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the child's output up to a line with this.
fn wait_for(out: &mut impl BufRead, what: &str) {
    let mut line = String::new();
    while !line.contains(what) {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before it wrote {what}");
    }
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn saved(folder: &Path, name: &str) -> Model {
    Model::load(folder.join(name)).unwrap()
}

const TRAINING: &str = "--epochs 6 --batch-size 8 --patience 100";

#[test]
fn the_first_ends_after_the_batch_and_resume_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let through = start(folder.path(), &format!("{TRAINING} --save through --backup other"));
    assert!(through.wait_with_output().unwrap().status.success());

    let mut child = start(folder.path(), TRAINING);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    wait_for(&mut out, "Epoch 2/6");
    interrupt(&child);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{errors}");
    for sentence in [
        "Ending after this batch; Ctrl-C again ends at once.",
        "fit: interrupted after ",
        "The same command with --resume goes on from here.",
    ] {
        assert!(errors.contains(sentence), "{errors}");
    }
    assert!(folder.path().join("training-backup/backup.safetensors").exists());

    let resumed = start(folder.path(), &format!("{TRAINING} --resume --save resumed"));
    let output = resumed.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("Epoch 1/6") && text.contains("Epoch 6/6"), "{text}");
    assert!(text.contains("Saved the model to resumed"), "{text}");
    assert!(!folder.path().join("training-backup").exists());
    let [through, resumed] = ["through", "resumed"].map(|name| saved(folder.path(), name));
    assert_eq!(through.weights(), resumed.weights());
}

#[test]
fn the_second_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path(), &format!("{TRAINING} --stuck"));
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    wait_for(&mut out, "Total params");
    interrupt(&child);
    wait_for(&mut errors, "Ending after this batch");
    assert!(child.try_wait().unwrap().is_none(), "the batch has not ended");
    interrupt(&child);
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    assert!(!folder.path().join("training-backup").exists());
}
