//! Images to train on: Fashion-MNIST, MNIST, and the IDX files they are kept in; CIFAR-10 and folders of
//! photographs, which are read when they are needed.
//!
//! Fashion-MNIST and MNIST are looked for in this order: the directory its environment variable names, the
//! user's cache directory (`$XDG_CACHE_HOME/convnet` or `~/.cache/convnet`), where Debian's package
//! puts it, and, with the feature `download`, on the web, from where it is fetched into the cache.
//! A directory that somebody named is never passed over: if it cannot serve, that is an error.
//!
//! ```
//! use convnet::datasets::fashion_mnist;
//!
//! let found = fashion_mnist::open("data/fashion-mnist-sample")?;
//! assert_eq!(found.source.to_string(), "the directory data/fashion-mnist-sample");
//! let (train, test) = found.load()?;
//! assert_eq!(train.images.dim(), (10_000, 28, 28, 1));
//! assert_eq!(test.labels.dim(), (2_000, 10));
//! # Ok::<(), convnet::Error>(())
//! ```

pub mod cifar10;
#[cfg(feature = "download")]
mod download;
pub mod fashion_mnist;
mod four_files;
pub mod idx;
#[cfg(feature = "images")]
mod image_folder;
mod labels;
pub mod mnist;
#[cfg(feature = "images")]
mod picture;
mod search;

use ndarray::{Array2, Array4};

#[cfg(feature = "images")]
pub use image_folder::{ImageFolder, Photos};
pub use labels::Labels;
#[cfg(feature = "images")]
pub use picture::load_image;
pub use search::{Found, Source};

/// Images and what they show.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// `(n, height, width, channels)`, from 0 to 1.
    pub images: Array4<f32>,
    /// `(n, classes)`, one-hot; [`argmax`](crate::preprocessing::argmax) gives class numbers.
    pub labels: Array2<f32>,
}

/// A dataset published as MNIST was: four files, of which there may be several copies in the world.
struct Collection {
    title: &'static str,
    /// The environment variable that names a directory with the four files.
    variable: &'static str,
    /// The name of its directory below the cache directory.
    folder: &'static str,
    /// Where a package of the system puts the four files.
    system: &'static str,
    /// What a user is to do to have it, as a sentence without its full stop.
    advice: &'static str,
    /// Web directories with the four files, gzipped, in the order in which they are tried.
    mirrors: &'static [&'static str],
    /// SHA-256 of the four files, decompressed, in the order of [`four_files::NAMES`].
    #[cfg_attr(not(feature = "download"), expect(dead_code))]
    checksums: [&'static str; 4],
}
