use std::fs;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::Labels;
use super::picture;
use crate::kernels::parallel::inside_pool;
use crate::kernels::resize::Resize;
use crate::layers::Pair;
use crate::random::generator;
use crate::samples::Samples;
use crate::shape::Shape;
use crate::words::counted;
use crate::{Error, Result};

/// Names of images end so. What is no PNG or JPEG is unreadable, not overlooked.
const ENDINGS: [&str; 12] =
    ["avif", "bmp", "gif", "heic", "jfif", "jpeg", "jpg", "png", "tif", "tiff", "webp", "jxl"];

/// How many unreadable files a sentence names.
const MOST_NAMES: usize = 20;

/// A folder of colour photographs, PNG or JPEG, with one sub-folder for each class. Keras:
/// `image_dataset_from_directory`.
///
/// ```text
/// photos/cat/1.jpg
/// photos/cat/more/2.png
/// photos/dog/1.jpg
/// ```
///
/// [`open`](Self::open) makes [`Photos`] of it. Wants the feature `images`.
///
/// ```no_run
/// use convnet::datasets::ImageFolder;
/// use convnet::prelude::*;
/// use convnet::preprocessing::Augmented;
///
/// let photos = ImageFolder::new("photos").image_size(67).skip_bad(true).open()?;
/// for (path, fault) in photos.skipped() {
///     println!("skipped {}: {fault}", path.display());
/// }
/// let image = Input::new(photos.shape());
/// let class = models::alexnet(&image, photos.class_names().len())?;
/// let mut model =
///     Model::new(&image, &class)?.compile(Adam::new(1e-4), CategoricalCrossentropy, [Accuracy]);
/// let augmented = Augmented::new(&photos)?.horizontal_flip(true).shift(4);
/// model.fit(&augmented, photos.labels(), Fit::new().epochs(10).validation_split(0.2))?;
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    directory: PathBuf,
    image_size: Pair,
    crop_to_aspect_ratio: bool,
    antialias: bool,
    seed: u64,
    skip_bad: bool,
}

impl ImageFolder {
    /// The folder with the sub-folders, each called after its class.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            image_size: Pair([256, 256]),
            crop_to_aspect_ratio: false,
            antialias: false,
            seed: 0,
            skip_bad: false,
        }
    }

    /// Height and width that every image is resized to, bilinearly; 256×256.
    pub fn image_size(self, image_size: impl Into<Pair>) -> Self {
        Self { image_size: image_size.into(), ..self }
    }

    /// Whether an image is cut, as little as need be and around its middle, rather than distorted;
    /// `false`.
    pub fn crop_to_aspect_ratio(self, crop_to_aspect_ratio: bool) -> Self {
        Self { crop_to_aspect_ratio, ..self }
    }

    /// Whether an image that becomes smaller is smoothed first; `false`, as in Keras. Large
    /// photographs made small look better with it.
    pub fn antialias(self, antialias: bool) -> Self {
        Self { antialias, ..self }
    }

    /// What the order of the images is drawn from, in which classes are mixed so that a validation
    /// split gets some of each; 0.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Whether unreadable images are left out, rather than an error; `false`.
    pub fn skip_bad(self, skip_bad: bool) -> Self {
        Self { skip_bad, ..self }
    }

    /// Looks through the folder and decodes every image once, on all threads, so that none turns out
    /// to be unreadable in the middle of a training. Names that do not end like an image's, and those
    /// that begin with a dot, are passed over; links to folders within a class are not followed.
    ///
    /// # Errors
    /// If a folder cannot be read, there are fewer than two classes, a class has no image, a size is
    /// 0, an image would have more bytes than can be counted, or images are unreadable, and then the
    /// sentence lists them: broken, neither PNG nor JPEG, or of more pixels than 64 million or than
    /// the file's length allows.
    pub fn open(self) -> Result<Photos> {
        let fault = |what: String| {
            Error::file(format!("image folder {}: {what}", self.directory.display()))
        };
        if self.image_size.0.contains(&0) {
            let size = self.image_size;
            return Err(fault(format!("the image size is {size}; it is at least 1×1")));
        }
        let [height, width] = self.image_size.0;
        if !Shape::from([height, width, 3]).fits_in_memory() {
            let size = self.image_size;
            return Err(fault(format!(
                "no image of {size} in colour fits in memory; choose a smaller size"
            )));
        }
        let (class_names, mut files) = list(&self.directory).map_err(fault)?;
        files.shuffle(&mut generator(self.seed));

        let faults: Vec<Option<String>> = inside_pool(|| {
            let paths = files.par_iter().map(|(_, path)| self.directory.join(path));
            paths.map(|path| picture::read(&path).err()).collect()
        });
        let total = files.len();
        let (mut good, mut skipped) = (Vec::new(), Vec::new());
        for ((class, path), fault) in files.into_iter().zip(faults) {
            match fault {
                None => good.push((class, path)),
                Some(fault) => skipped.push((self.directory.join(path), fault)),
            }
        }
        skipped.sort();
        if !skipped.is_empty() && !self.skip_bad {
            let bad = skipped.len();
            return Err(fault(format!(
                "{bad} of {total} images {} unreadable: {}; remove them, or go on without them with \
                 skip_bad(true)",
                if bad == 1 { "is" } else { "are" },
                listed(&skipped)
            )));
        }
        let mut counts = vec![0; class_names.len()];
        good.iter().for_each(|&(class, _)| counts[class as usize] += 1);
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            let readable = if skipped.is_empty() { "" } else { " that is readable" };
            return Err(fault(format!(
                "the class `{}` has no image{readable}; add some or remove its folder",
                class_names[class]
            )));
        }
        let (numbers, files) = good.into_iter().unzip();
        let labels = Labels::new(numbers, class_names.len());
        Ok(Photos { folder: self, class_names, files, labels, skipped })
    }
}

/// The class of an image, and its path below the directory.
type File = (u32, Box<Path>);

/// The names of the classes, sorted, and the images with their classes, sorted, as paths below the
/// directory.
fn list(directory: &Path) -> Result<(Vec<String>, Vec<File>), String> {
    let mut class_names = Vec::new();
    let mut files = Vec::new();
    for entry in entries(directory)? {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
            return Err(format!("the name of {} is not Unicode; rename it", entry.display()));
        };
        if entry.is_dir() {
            let class = class_names.len() as u32;
            class_names.push(name.to_string());
            add_images(directory, &entry, class, &mut files)?;
        }
    }
    if class_names.len() < 2 {
        return Err(format!(
            "has {}; wanted one for each of at least two classes",
            counted(class_names.len(), "sub-folder")
        ));
    }
    Ok((class_names, files))
}

fn add_images(
    directory: &Path,
    folder: &Path,
    class: u32,
    files: &mut Vec<File>,
) -> Result<(), String> {
    for entry in entries(folder)? {
        let ending = entry.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        if entry.is_dir() {
            if !entry.is_symlink() {
                add_images(directory, &entry, class, files)?;
            }
        } else if entry.is_file() && ENDINGS.contains(&ending.to_lowercase().as_str()) {
            let below = entry.strip_prefix(directory).unwrap_or(&entry);
            files.push((class, below.into()));
        }
    }
    Ok(())
}

/// What is in a folder and not hidden, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error| format!("{} cannot be read: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// `a.png is empty, b.png is neither PNG nor JPEG, and 3 more`.
fn listed(faults: &[(PathBuf, String)]) -> String {
    let named = faults.iter().take(MOST_NAMES);
    let mut names: Vec<String> =
        named.map(|(path, fault)| format!("{} {fault}", path.display())).collect();
    if let Some(more) = faults.len().checked_sub(MOST_NAMES).filter(|&more| more > 0) {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}

/// The images of an [`ImageFolder`]: `(height, width, 3)` in red, green and blue from 0 to 1, decoded and
/// resized when they are needed. Of each only its name and class are in memory.
#[derive(Clone, Debug)]
pub struct Photos {
    folder: ImageFolder,
    class_names: Vec<String>,
    files: Vec<Box<Path>>,
    labels: Labels,
    skipped: Vec<(PathBuf, String)>,
}

impl Photos {
    /// The names of the sub-folders, sorted, which are the classes by number.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The class of each image.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The file of the image of this index.
    ///
    /// # Panics
    /// If there are not so many images.
    pub fn path(&self, index: usize) -> PathBuf {
        self.folder.directory.join(&self.files[index])
    }

    /// The unreadable images that were left out, sorted, and what is wrong with each, as the end of a
    /// sentence that begins with its name.
    pub fn skipped(&self) -> &[(PathBuf, String)] {
        &self.skipped
    }
}

impl Samples for Photos {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn shape(&self) -> Shape {
        let [height, width] = self.folder.image_size.0;
        [height, width, 3].into()
    }

    fn load(&self, index: usize, _seed: Option<u64>, image: &mut [f32]) -> Result<()> {
        let path = self.path(index);
        let picture = picture::read(&path)
            .map_err(|fault| Error::file(format!("{} {fault}", path.display())))?;
        let [height, width] = picture.size;
        let wanted = self.folder.image_size.0;
        let [h, w] = match self.folder.crop_to_aspect_ratio {
            true => largest_of_ratio(picture.size, wanted),
            false => picture.size,
        };
        let start = ((height - h) / 2 * width + (width - w) / 2) * 3;
        let resize = Resize::new([h, w], wanted, self.folder.antialias);
        resize.run(3, &picture.pixels[start..], width * 3, image);
        image.iter_mut().for_each(|value| *value /= 255.0);
        Ok(())
    }
}

/// The largest height and width within a picture that have the ratio of those wanted, rounded down, as
/// Keras' `smart_resize` has it.
fn largest_of_ratio([height, width]: [usize; 2], [h, w]: [usize; 2]) -> [usize; 2] {
    [(width * h / w).clamp(1, height), (height * w / h).clamp(1, width)]
}

#[cfg(test)]
mod tests {
    use super::largest_of_ratio;

    #[test]
    fn a_crop_is_as_large_as_can_be() {
        for (size, wanted, crop) in [
            ([100, 200], [64, 64], [100, 100]),
            ([200, 100], [64, 64], [100, 100]),
            ([100, 200], [32, 64], [100, 200]),
            ([101, 200], [30, 20], [101, 67]),
            ([1, 500], [400, 1], [1, 1]),
        ] {
            assert_eq!(largest_of_ratio(size, wanted), crop);
        }
    }
}
