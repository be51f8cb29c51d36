//! CIFAR-10: 50,000 training and 10,000 test photographs of ten classes, 32×32, in colour
//! (Krizhevsky, 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>), in its binary version: six files of
//! records, each of a byte with the class and 3072 bytes with the red, the green and the blue plane.
//!
//! The images are [`Samples`]: only their classes are in memory, pixels are read when they are needed.
//!
//! ```no_run
//! use convnet::datasets::cifar10;
//! use convnet::prelude::*;
//!
//! let (train, test) = cifar10::load()?;
//! let image = Input::new([32, 32, 3]);
//! let class = models::lenet5(&image, 10)?;
//! let mut model =
//!     Model::new(&image, &class)?.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
//! model.fit(&train, train.labels(), Fit::new().epochs(10).validation_split(0.2))?;
//! println!("{}", model.evaluate(&test, test.labels())?);
//! # Ok::<(), convnet::Error>(())
//! ```

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Labels;
use super::search::{self, Wanted};
use crate::samples::Samples;
use crate::shape::Shape;
use crate::{Error, Result};

/// What the ten classes show, by number.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const TRAIN: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];
const TEST: [&str; 1] = ["test_batch.bin"];

/// Height and width of an image.
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// Bytes of a record: the class and three planes.
const RECORD: usize = 1 + 3 * PLANE;

/// The training or the test part: images `(32, 32, 3)` from 0 to 1, read when they are needed.
#[derive(Clone, Debug)]
pub struct Cifar10 {
    /// Each file with the number of its first image.
    files: Vec<(PathBuf, usize)>,
    labels: Labels,
}

/// The training and the test part, from the directory that `CIFAR10_DIR` names or, without it, from
/// `cifar-10-batches-bin` in the user's cache directory of this crate. It is not downloaded: unpack
/// `cifar-10-binary.tar.gz` there.
///
/// # Errors
/// If it is in neither place, and then the sentence names both; else those of [`open`].
pub fn load() -> Result<(Cifar10, Cifar10)> {
    let found = search::find_wanted(&Wanted {
        title: "CIFAR-10",
        variable: "CIFAR10_DIR",
        folder: "cifar-10-batches-bin",
        system: None,
        advice: "Unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz and name the \
                 directory with its six .bin files in CIFAR10_DIR",
        fault: &fault,
        download: &|_| Err("it is not downloaded".to_string()),
    })?;
    open(found.directory())
}

/// The training and the test part from a directory with `data_batch_1.bin` to `data_batch_5.bin` and
/// `test_batch.bin`, each with any number of records. Every record's class is looked at.
///
/// # Errors
/// If the directory or a file is missing or unreadable, a file is no whole number of records, or a
/// class is none of the ten.
///
/// ```
/// let error = convnet::datasets::cifar10::open("no/such/directory").unwrap_err();
/// assert!(error.to_string().starts_with("the directory no/such/directory cannot be read"));
/// ```
pub fn open(directory: impl AsRef<Path>) -> Result<(Cifar10, Cifar10)> {
    let directory = directory.as_ref();
    fault(directory).map_or(Ok(()), |fault| Err(Error::file(fault)))?;
    Ok((part(directory, &TRAIN)?, part(directory, &TEST)?))
}

/// Why the directory does not hold the six files, if it does not.
fn fault(directory: &Path) -> Option<String> {
    let shown = directory.display();
    if let Err(error) = fs::read_dir(directory) {
        return Some(format!("the directory {shown} cannot be read: {error}"));
    }
    let lacking = TRAIN.into_iter().chain(TEST).filter(|name| !directory.join(name).is_file());
    let missing: Vec<&str> = lacking.collect();
    (!missing.is_empty()).then(|| format!("the directory {shown} lacks {}", missing.join(", ")))
}

fn part(directory: &Path, names: &[&str]) -> Result<Cifar10> {
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    for name in names {
        let path = directory.join(name);
        let first = classes.len();
        read_classes(&path, &mut classes)
            .map_err(|fault| Error::file(format!("{}: {fault}", path.display())))?;
        files.push((path, first));
    }
    Ok(Cifar10 { files, labels: Labels::new(classes, CLASS_NAMES.len()) })
}

/// Adds the class of every record in a file.
fn read_classes(path: &Path, classes: &mut Vec<u32>) -> Result<(), String> {
    let cannot = |error| format!("cannot be read: {error}");
    let file = File::open(path).map_err(cannot)?;
    let len = file.metadata().map_err(cannot)?.len();
    if len == 0 || len % RECORD as u64 != 0 {
        return Err(format!(
            "holds {len} bytes; wanted records of {RECORD} bytes each: it is cut off, or not of \
             CIFAR-10's binary version"
        ));
    }
    // As many bytes at once as records have, so that reads and records keep step.
    let mut file = BufReader::with_capacity(20 * RECORD, file.take(len));
    let mut record = [0; RECORD];
    for number in 0..len / RECORD as u64 {
        file.read_exact(&mut record).map_err(cannot)?;
        match record[0] {
            class if usize::from(class) < CLASS_NAMES.len() => classes.push(class.into()),
            class => {
                return Err(format!(
                    "record {number} has the class {class}; wanted one of 0..10: the file is \
                     corrupt, or not of CIFAR-10's binary version"
                ));
            }
        }
    }
    Ok(())
}

impl Cifar10 {
    /// The class of each image.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Samples for Cifar10 {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> Shape {
        [SIDE, SIDE, 3].into()
    }

    fn load(&self, index: usize, _seed: Option<u64>, image: &mut [f32]) -> Result<()> {
        let file = self.files.partition_point(|&(_, first)| first <= index) - 1;
        let (path, first) = &self.files[file];
        let mut planes = [0; 3 * PLANE];
        let mut read = || {
            let mut file = File::open(path)?;
            // Behind the class.
            file.seek(SeekFrom::Start(((index - first) * RECORD + 1) as u64))?;
            file.read_exact(&mut planes)
        };
        read()
            .map_err(|error| Error::file(format!("{}: cannot be read: {error}", path.display())))?;
        for (place, pixel) in image.chunks_exact_mut(3).enumerate() {
            for (channel, value) in pixel.iter_mut().enumerate() {
                *value = f32::from(planes[channel * PLANE + place]) / 255.0;
            }
        }
        Ok(())
    }
}
