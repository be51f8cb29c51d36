//! A process that is killed while it saves leaves the old file or the new one.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use convnet::prelude::*;
use ndarray::Array1;

/// Where the child is to save.
const PATH: &str = "CONVNET_TEST_SAVE_TO";

/// About a megabyte, of which every weight is the number given.
fn model(number: f32) -> Model {
    let x = Input::new(512);
    let mut model = Model::new(&x, x.apply(Dense::new(512)).unwrap()).unwrap();
    model.set_weight("dense/kernel", &ndarray::Array2::from_elem((512, 512), number)).unwrap();
    model.set_weight("dense/bias", &Array1::from_elem(512, number)).unwrap();
    model
}

/// Not a test but the process that is killed: saves until then, if it was told where.
#[test]
fn child() {
    let Ok(path) = env::var(PATH) else { return };
    for number in 1.. {
        model(number as f32).save(&path).unwrap();
    }
}

#[test]
fn the_file_is_whole_whenever_saving_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model(0.0).save(&path).unwrap();
    for round in 0..25 {
        let before = std::fs::read(&path).unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "killed::child"])
            .env(PATH, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From when it has saved once, so that it is killed while it saves however slow its start is.
        while std::fs::read(&path).unwrap() == before {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
        std::thread::sleep(Duration::from_micros(331 * round));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "it was still saving");
        let loaded = Model::load(&path).unwrap();
        let number = loaded.weights()[1].1[[0]];
        assert_eq!(loaded.weights(), model(number).weights(), "all of one save");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    for name in left.filter(|name| name != "model.safetensors") {
        assert!(name.to_str().unwrap().ends_with(".unfinished"), "{name:?}");
    }
}
