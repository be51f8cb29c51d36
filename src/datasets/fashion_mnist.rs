//! Fashion-MNIST: 60,000 training and 10,000 test images of clothes in ten classes, 28×28, grey
//! (Xiao, Rasul and Vollgraf, 2017, <https://arxiv.org/abs/1708.07747>).

use std::path::Path;

use super::{Collection, Dataset, Found, search};
use crate::Result;

/// What the ten classes show, by number.
pub const CLASS_NAMES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

const FASHION_MNIST: Collection = Collection {
    title: "Fashion-MNIST",
    variable: "FASHION_MNIST_DIR",
    folder: "fashion-mnist",
    system: "/usr/share/datasets/fashion-mnist",
    advice: "Put its four files into a directory and name that in FASHION_MNIST_DIR, or \
             `apt install dataset-fashion-mnist` (Debian, Ubuntu)",
    mirrors: &[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "http://storage.googleapis.com/tensorflow/tf-keras-datasets",
    ],
    checksums: [
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ],
};

/// The training and the test part, from wherever [`find`] finds them.
///
/// # Errors
/// Those of [`find`] and of [`Found::load`].
///
/// ```no_run
/// let (train, test) = convnet::datasets::fashion_mnist::load()?;
/// assert_eq!(train.images.dim(), (60_000, 28, 28, 1));
/// assert_eq!(test.labels.dim(), (10_000, 10));
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn load() -> Result<(Dataset, Dataset)> {
    find()?.load()
}

/// Looks for Fashion-MNIST in the directory named by `FASHION_MNIST_DIR`, in the user's cache
/// directory and in `/usr/share/datasets/fashion-mnist`; with the feature `download` it is at last
/// fetched into the cache.
///
/// # Errors
/// `FASHION_MNIST_DIR` names a directory that is missing, unreadable or incomplete; or the dataset
/// is nowhere, and the sentence says why each place, each mirror included, did not serve.
///
/// ```no_run
/// use convnet::datasets::fashion_mnist;
///
/// let found = fashion_mnist::find()?;
/// println!("Fashion-MNIST from {}", found.source);
/// let (train, test) = found.load()?;
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn find() -> Result<Found> {
    search::find(&FASHION_MNIST)
}

/// Takes Fashion-MNIST, or any part of it, from a directory with the four files
/// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, each plain or with `.gz`.
///
/// # Errors
/// The directory is missing, unreadable or incomplete.
///
/// ```
/// use convnet::datasets::fashion_mnist;
///
/// let (train, _) = fashion_mnist::open("data/fashion-mnist-sample")?.load()?;
/// assert_eq!(train.images.dim(), (10_000, 28, 28, 1));
/// let error = fashion_mnist::open("no/such/directory").unwrap_err();
/// assert!(error.to_string().starts_with("the directory no/such/directory cannot be read"));
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn open(directory: impl AsRef<Path>) -> Result<Found> {
    search::open(directory.as_ref())
}
