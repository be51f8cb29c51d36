//! MNIST: 60,000 training and 10,000 test images of handwritten digits, 28×28, grey
//! (LeCun, Cortes and Burges, 1998).

use std::path::Path;

use super::{Collection, Dataset, Found, search};
use crate::Result;

const MNIST: Collection = Collection {
    title: "MNIST",
    variable: "MNIST_DIR",
    folder: "mnist",
    system: "/usr/share/datasets/mnist",
    advice: "Put its four files into a directory and name that in MNIST_DIR, or \
             copy them into /usr/share/datasets/mnist",
    mirrors: &[
        "http://ossci-datasets.s3.amazonaws.com/mnist",
        "http://storage.googleapis.com/cvdf-datasets/mnist",
    ],
    checksums: [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ],
};

/// The training and the test part, from wherever [`find`] finds them.
///
/// # Errors
/// Those of [`find`] and of [`Found::load`].
///
/// ```no_run
/// let (train, test) = convnet::datasets::mnist::load()?;
/// assert_eq!(train.images.dim(), (60_000, 28, 28, 1));
/// assert_eq!(test.labels.dim(), (10_000, 10));
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn load() -> Result<(Dataset, Dataset)> {
    find()?.load()
}

/// Looks for MNIST in the directory named by `MNIST_DIR`, in the user's cache directory and in
/// `/usr/share/datasets/mnist`; with the feature `download` it is at last fetched into the cache.
///
/// # Errors
/// `MNIST_DIR` names a directory that is missing, unreadable or incomplete; or the dataset is
/// nowhere, and the sentence says why each place, each mirror included, did not serve.
///
/// ```no_run
/// let found = convnet::datasets::mnist::find()?;
/// println!("MNIST from {}", found.source);
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn find() -> Result<Found> {
    search::find(&MNIST)
}

/// Takes MNIST, or any part of it, from a directory with the four files
/// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, each plain or with `.gz`.
///
/// # Errors
/// The directory is missing, unreadable or incomplete.
///
/// ```
/// let error = convnet::datasets::mnist::open("no/such/directory").unwrap_err();
/// assert!(error.to_string().starts_with("the directory no/such/directory cannot be read"));
/// ```
pub fn open(directory: impl AsRef<Path>) -> Result<Found> {
    search::open(directory.as_ref())
}
