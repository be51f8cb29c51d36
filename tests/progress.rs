//! What `fit` writes where the output is no terminal, seen from another process.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use convnet::prelude::*;
use ndarray::{Array1, Array2};

/// Tells the program, which is this file again, for how many epochs to train.
const EPOCHS: &str = "CONVNET_TEST_EPOCHS";

/// The program that is looked at: in the tests' own process it does nothing.
#[test]
fn program() -> convnet::Result<()> {
    let Some(epochs) = env::var(EPOCHS).ok().and_then(|epochs| epochs.parse().ok()) else {
        return Ok(());
    };
    let x = Input::new(3);
    let mut model = Model::new(&x, x.apply(Dense::new(2).activation(Softmax))?)?.compile(
        Adam::default(),
        SparseCategoricalCrossentropy,
        [Accuracy],
    );
    let (x, y) = (Array2::<f32>::ones((16, 3)), Array1::<f32>::zeros(16));
    let fit = Fit::new().epochs(epochs).batch_size(1).validation_split(0.25);
    model.fit(&x, &y, fit)?;
    model.fit(&x, &y, Fit::new().verbose(Verbose::Silent))?;
    // Before the harness writes to an output that may be closed.
    std::process::exit(0)
}

/// Tells the other program whether its callbacks are verbose.
const VERBOSE: &str = "CONVNET_TEST_VERBOSE";

/// Callbacks of which each has one thing to say, or two: the loss stays as it is, then runs away.
#[test]
fn callbacks() -> convnet::Result<()> {
    let Some(verbose) = env::var(VERBOSE).ok().and_then(|verbose| verbose.parse().ok()) else {
        return Ok(());
    };
    let folder = tempfile::tempdir().unwrap();
    let x = Input::new(3);
    let class = x.apply(Dense::new(2).activation(Softmax))?;
    let model = |rate| {
        let model = Model::new(&x, &class)?;
        convnet::Result::Ok(model.compile(SGD::new(rate), SparseCategoricalCrossentropy, ()))
    };
    let (samples, y) = (Array2::<f32>::ones((16, 3)) * 1e3, Array1::from_shape_fn(16, |i| i % 2));
    let silent = || Fit::new().epochs(5).batch_size(8).shuffle(false).verbose(Verbose::Silent);
    let best = ModelCheckpoint::new(folder.path().join("best")).monitor(Monitor::Loss);
    let stopping = EarlyStopping::new(Monitor::Loss).patience(2).restore_best_weights(true);
    let plateau = ReduceLROnPlateau::new(Monitor::Loss).patience(1).factor(0.0);
    let fit = silent()
        .callback(best.save_best_only(true).verbose(verbose))
        .callback(plateau.verbose(verbose))
        .callback(stopping.verbose(verbose));
    model(1e-30)?.fit(&samples, &y, fit)?;
    let fit = silent().callback(TerminateOnNaN::new().verbose(verbose));
    model(1e38)?.fit(&samples, &y, fit)?;
    std::process::exit(0)
}

fn start(epochs: usize) -> std::io::Result<Child> {
    other("program", EPOCHS, &epochs.to_string())
}

fn other(test: &str, variable: &str, value: &str) -> std::io::Result<Child> {
    Command::new(env::current_exe()?)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What it wrote, less the greeting of the test harness.
fn lines(epochs: usize) -> std::io::Result<Vec<String>> {
    let output = start(epochs)?.wait_with_output()?;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text.split_once("test program ... ").map_or("", |(_, text)| text);
    let (notices, lines): (Vec<_>, Vec<_>) =
        text.lines().map(String::from).partition(|line| line.starts_with("This is a debug build"));
    assert_eq!(notices.len(), cfg!(debug_assertions) as usize);
    Ok(lines)
}

/// Whole ones, however many they are on this machine.
fn is_seconds(text: &str) -> bool {
    text.strip_suffix('s').is_some_and(|number| number.parse::<u64>().is_ok())
}

#[test]
fn one_line_an_epoch() -> std::io::Result<()> {
    let lines = lines(3)?;
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (epoch, line) in (1..).zip(&lines) {
        assert!(line.starts_with(&format!("Epoch {epoch}/3 - 12/12 - ")), "{line}");
        assert!(!line.contains(['\r', '\x1b', '\x08']), "{line:?}");
        let parts: Vec<&str> = line.split(" - ").skip(2).collect();
        let [took, pace, rest @ ..] = parts.as_slice() else { panic!("{line}") };
        assert!(is_seconds(took) && pace.ends_with("s/step"), "{line}");
        let names: Vec<_> = rest.iter().filter_map(|part| part.split(": ").next()).collect();
        assert_eq!(names, ["accuracy", "loss", "val_accuracy", "val_loss"]);
    }
    Ok(())
}

#[test]
fn a_single_epoch_has_no_number() -> std::io::Result<()> {
    let lines = lines(1)?;
    let parts: Vec<&str> = lines[0].split(" - ").collect();
    assert!(lines.len() == 1 && parts[0] == "12/12" && is_seconds(parts[1]), "{lines:?}");
    Ok(())
}

#[test]
fn callbacks_speak_when_they_are_asked_to() -> std::io::Result<()> {
    let said = |verbose: &str| {
        let output = other("callbacks", VERBOSE, verbose)?.wait_with_output()?;
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = text.split_once("test callbacks ... ").map_or("", |(_, text)| text);
        let lines = text.lines().filter(|line| !line.starts_with("This is a debug build"));
        std::io::Result::Ok(lines.map(String::from).collect::<Vec<_>>())
    };
    let lines = said("true")?;
    assert!(lines[0].starts_with("Epoch 1: saved the weights to "), "{lines:?}");
    assert_eq!(
        lines[1..],
        [
            "Epoch 2: reducing the learning rate to 0",
            "Epoch 3: early stopping",
            "Restoring model weights from the end of the best epoch: 1.",
            "Batch 1: the loss is NaN; training ends",
        ]
    );
    assert!(said("false")?.is_empty());
    Ok(())
}

#[test]
fn a_closed_pipe_does_not_stop_training() -> std::io::Result<()> {
    // More than a pipe holds, so that the program surely writes after it has been closed.
    let mut child = start(1000)?;
    if let Some(stdout) = child.stdout.take() {
        let epoch = BufReader::new(stdout)
            .lines()
            .find(|line| line.as_ref().map_or(true, |line| line.contains("Epoch 1/1000")));
        assert!(epoch.is_some_and(|line| line.is_ok()));
    }
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
