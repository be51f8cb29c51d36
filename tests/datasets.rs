//! The committed sample, and directories that hold something else than a dataset.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use convnet::ErrorKind;
use convnet::datasets::{Dataset, fashion_mnist, idx, mnist};
use convnet::preprocessing::argmax;
use ndarray::{Array1, Array3, ArrayD, Axis};
use tempfile::{TempDir, tempdir};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-sample");

#[test]
fn the_sample_holds_as_many_images_of_each_class() {
    let found = fashion_mnist::open(SAMPLE).unwrap();
    assert_eq!(found.source.directory(), Path::new(SAMPLE));
    let (train, test) = found.load().unwrap();
    for (Dataset { images, labels }, n) in [(train, 10_000), (test, 2_000)] {
        assert_eq!(images.dim(), (n, 28, 28, 1));
        assert!(images.iter().all(|x| (0.0..=1.0).contains(x)));
        assert_eq!(labels.dim(), (n, 10));
        assert!(labels.sum_axis(Axis(0)).iter().all(|&count| count == n as f32 / 10.0));
        assert!(labels.sum_axis(Axis(1)).iter().all(|&sum| sum == 1.0));
    }
}

#[test]
fn the_sample_begins_as_fashion_mnist_does() {
    let (train, test) = fashion_mnist::open(SAMPLE).unwrap().load().unwrap();
    let first = |part: &Dataset| argmax(&part.labels).unwrap().to_vec()[..10].to_vec();
    assert_eq!(first(&train), [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]);
    assert_eq!(first(&test), [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]);
    assert_eq!(fashion_mnist::CLASS_NAMES[9], "Ankle boot");
}

/// The directory and its four files, of which the training part holds `images` and `labels`.
fn directory(images: &ArrayD<u8>, labels: &ArrayD<u8>) -> TempDir {
    let directory = tempdir().unwrap();
    let write = |name, array: &ArrayD<u8>| idx::write(directory.path().join(name), array).unwrap();
    write("train-images-idx3-ubyte", images);
    write("train-labels-idx1-ubyte.gz", labels);
    write("t10k-images-idx3-ubyte.gz", &Array3::zeros((1, 28, 28)).into_dyn());
    write("t10k-labels-idx1-ubyte", &Array1::zeros(1).into_dyn());
    directory
}

fn zeros(shape: &[usize]) -> ArrayD<u8> {
    ArrayD::zeros(shape)
}

#[test]
fn plain_and_gzipped_files_may_be_mixed() {
    let mut images = zeros(&[2, 28, 28]);
    images[[1, 27, 0]] = 51;
    let labels = Array1::from(vec![9, 3]).into_dyn();
    let (train, test) = mnist::open(directory(&images, &labels).path()).unwrap().load().unwrap();
    assert_eq!(train.images[[1, 27, 0, 0]], 0.2);
    assert_eq!(train.images.sum(), 0.2);
    assert_eq!(argmax(&train.labels).unwrap().to_vec(), [9, 3]);
    assert_eq!(test.images.dim(), (1, 28, 28, 1));
}

/// Asserts that such a training part is refused, naming the file and saying these words.
#[track_caller]
fn refused(images: ArrayD<u8>, labels: ArrayD<u8>, file: &str, words: &str) {
    let directory = directory(&images, &labels);
    let error = mnist::open(directory.path()).unwrap().load().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    let path = directory.path().join(file);
    assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
    assert!(error.to_string().contains(words), "{error}\nwanted: {words}");
}

#[test]
fn files_that_do_not_fit_each_other_or_their_names() {
    let (images, labels) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz");
    refused(zeros(&[3, 28, 28]), zeros(&[2]), labels, "holds 2 labels for the 3 images of");
    let wrong = Array1::from(vec![0, 10]).into_dyn();
    refused(zeros(&[2, 28, 28]), wrong, labels, "label 1 is 10; wanted a class of 0..10");
    refused(zeros(&[2, 784]), zeros(&[2]), images, "shape [2, 784]; wanted (n, 28, 28)");
    refused(zeros(&[2, 28, 28]), zeros(&[2, 1]), labels, "shape [2, 1]; wanted (n)");
    refused(zeros(&[2, 28, 27]), zeros(&[2]), images, "holds 2 images of 28×27 pixels");
    refused(zeros(&[0, 28, 28]), zeros(&[0]), images, "holds 0 images");
}

#[test]
fn directories_that_cannot_serve() {
    let directory = directory(&zeros(&[1, 28, 28]), &zeros(&[1]));
    fs::remove_file(directory.path().join("t10k-labels-idx1-ubyte")).unwrap();
    fs::remove_file(directory.path().join("train-images-idx3-ubyte")).unwrap();
    let error = fashion_mnist::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    let shown = directory.path().display();
    assert_eq!(
        error.to_string(),
        format!(
            "the directory {shown} lacks train-images-idx3-ubyte, t10k-labels-idx1-ubyte \
             (plain or .gz)"
        )
    );
    let file = directory.path().join("t10k-images-idx3-ubyte.gz");
    let error = fashion_mnist::open(&file).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the directory {} cannot be read: ", file.display())));
}

/// Not a test of its own: what the next test runs with other environment variables.
#[test]
fn child_with_an_environment() {
    if env::var_os("CONVNET_TEST_CHILD").is_some() {
        match fashion_mnist::find() {
            Ok(found) => println!("found: {}", found.source),
            Err(error) => println!("error: {error}"),
        }
    }
}

#[test]
fn the_environment_variable_is_taken_before_all_else_and_never_passed_over() {
    let output = |directory: &str| {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_with_an_environment", "--nocapture"])
            .env("CONVNET_TEST_CHILD", "1")
            .env("FASHION_MNIST_DIR", directory)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let taken = output(SAMPLE);
    let words = format!("found: the directory {SAMPLE}, which FASHION_MNIST_DIR names");
    assert!(taken.contains(&words), "{taken}");
    let refused = output("/no/such/directory");
    let words = "error: Fashion-MNIST: FASHION_MNIST_DIR is set, but the directory \
                 /no/such/directory cannot be read: ";
    assert!(refused.contains(words), "{refused}");
}
