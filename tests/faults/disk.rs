//! Disks that are full, files that may not grow, and folders that take none: a sentence, the old file whole,
//! nothing left behind, and a model that can be used on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use convnet::callbacks::{BackupAndRestore, SaveFreq, TensorBoard};
use convnet::datasets::idx;
use convnet::prelude::*;
use convnet::{ErrorKind, Result};
use ndarray::Array2;

use crate::{bits, compiled, data, silent};

/// Where a child process is to write, and which of the tests it is.
const FOLDER: &str = "CONVNET_TEST_FOLDER";
const KIND: &str = "CONVNET_TEST_FOLDER_KIND";

/// What the shell says that could not mount.
const NO_MOUNT: i32 = 77;

/// Starts the child below a command of the shell; `$FOLDER` is an empty folder.
fn with_folder(kind: &str, shell: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{shell}; exec \"$0\" --exact disk::child --nocapture");
    let in_namespace = kind != "limited";
    let mut command = if in_namespace { Command::new("unshare") } else { Command::new("sh") };
    if in_namespace {
        // Nobody else sees what is mounted, and it goes with the process.
        command.args(["--mount", "--map-root-user", "sh"]);
    }
    let child = command
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .env(KIND, kind)
        .output();
    let Ok(output) = child else { return println!("SKIPPED: there is no unshare or sh") };
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let mounted = !errors.starts_with("unshare:") && output.status.code() != Some(NO_MOUNT);
    if in_namespace && !mounted {
        return println!("SKIPPED: nothing can be mounted here: {errors}");
    }
    assert!(output.status.success(), "{printed}\n{errors}");
    assert!(printed.contains("all is refused"), "{printed}\n{errors}");
}

#[test]
fn a_disk_that_is_full() {
    with_folder(
        "full",
        &format!("mount -t tmpfs -o size=64k tmpfs \"${FOLDER}\" || exit {NO_MOUNT}"),
    );
}

#[test]
fn a_file_system_that_is_read_only() {
    with_folder(
        "read_only",
        &format!("mount -t tmpfs -o ro tmpfs \"${FOLDER}\" || exit {NO_MOUNT}"),
    );
}

#[test]
fn files_that_may_not_grow() {
    with_folder("limited", "trap '' XFSZ; ulimit -f 16");
}

#[test]
fn folders_that_are_none_or_not_ours() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let link = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("nowhere/at/all", link.path().join("link")).unwrap();
    for folder in [file.path(), Path::new("/proc"), &link.path().join("link")] {
        everything_is_refused(folder, "");
        trainings_are_refused(folder);
    }
}

/// Not a test of its own but the process that the tests above start.
#[test]
fn child() {
    let (Some(folder), Ok(kind)) = (std::env::var_os(FOLDER), std::env::var(KIND)) else { return };
    let folder = PathBuf::from(folder);
    match &*kind {
        "full" => {
            let filler = folder.join("filler");
            everything_is_refused(&folder, "No space left on device");
            fs::create_dir(folder.join("checkpoints")).unwrap();
            let _ = fs::write(&filler, vec![0; 1 << 17]);
            trainings_are_refused(&folder);
        }
        "limited" => everything_is_refused(&folder, "File too large"),
        _ => {
            everything_is_refused(&folder, "Read-only file system");
            trainings_are_refused(&folder);
        }
    }
    println!("all is refused");
}

/// A model of about 100 KB, or of 1.
fn model(large: bool) -> Model {
    let x = Input::new(if large { 160 } else { 16 });
    Model::new(&x, x.apply(Dense::new(if large { 160 } else { 16 })).unwrap()).unwrap()
}

/// Everything that writes a file writes one that fits, and then one that does not over it.
fn everything_is_refused(folder: &Path, why: &str) {
    type Write = fn(&Path, bool) -> Result<()>;
    let writers: [(&str, Write); 6] = [
        ("save", |path, large| model(large).save(path)),
        ("save_weights", |path, large| model(large).save_weights(path)),
        ("save_pytorch", |path, large| model(large).save_pytorch(path, &[])),
        ("export_onnx", |path, large| model(large).export_onnx(path)),
        ("idx", |path, large| idx::write(path, &noise(large))),
        ("idx.gz", |path, large| idx::write(path, &noise(large))),
    ];
    for (name, write) in writers {
        let path = folder.join(name);
        // What is read-only takes not even the small one.
        let small = write(&path, false).is_ok();
        let before = fs::read(&path).ok();
        assert_eq!(before.is_some(), small, "{name}");
        let error = write(&path, true).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::File, "{name}: {error}");
        let sentence = error.to_string();
        assert!(sentence.contains(path.to_str().unwrap()), "{name}: {sentence}");
        assert!(sentence.contains(why), "{name}: {sentence}");
        assert_eq!(fs::read(&path).ok(), before, "{name}: the old file is whole");
        let left = fs::read_dir(folder).into_iter().flatten().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(folder.starts_with("/proc") || left.len() <= 1, "{name}: {left:?}");
        if small {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Bytes that no compression makes much smaller.
fn noise(large: bool) -> Array2<u8> {
    let mut state = 1_u32;
    Array2::from_shape_simple_fn(if large { (400, 300) } else { (4, 3) }, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}

/// Every callback that writes ends the training by an error, and the model trains on without it.
fn trainings_are_refused(folder: &Path) {
    let (x, y) = data(40);
    type Add = fn(Fit<'static>, &Path) -> Fit<'static>;
    let callbacks: [(&str, Add); 4] = [
        ("checkpoint", |fit, folder| {
            fit.callback(ModelCheckpoint::new(folder.join("checkpoints/best")))
        }),
        ("backup", |fit, folder| {
            let backup = BackupAndRestore::new(folder.join("backup"));
            fit.callback(backup.save_freq(SaveFreq::Batches(1)))
        }),
        ("log", |fit, folder| fit.callback(CSVLogger::new(folder.join("log.csv")))),
        ("board", |fit, folder| fit.callback(TensorBoard::new(folder.join("board")))),
    ];
    for (name, add) in callbacks {
        let mut model = compiled(true);
        let error = model.fit(&x, &y, add(silent(), folder)).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::File, "{name}: {error}");
        assert!(error.to_string().contains(folder.to_str().unwrap()), "{name}: {error}");
        model.predict(&x).unwrap();
        let mut other = compiled(true);
        let start = model.snapshot();
        other.restore(&start);
        let mut model =
            model.into_model().compile(Adam::new(3e-3), SparseCategoricalCrossentropy, [Accuracy]);
        for model in [&mut model, &mut other] {
            model.fit(&x, &y, silent()).unwrap();
        }
        assert_eq!(bits(&model), bits(&other), "{name}");
    }
}
