//! Where a dataset is looked for, and which copy was taken.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Collection, Dataset, four_files};
use crate::{Error, Result};

/// Which copy of a dataset was taken; `Display` says it in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The directory the program gave.
    Given(PathBuf),
    /// The directory that an environment variable names.
    Environment {
        /// The environment variable.
        variable: &'static str,
        /// The directory it names.
        directory: PathBuf,
    },
    /// The user's cache directory, where an earlier download put it.
    Cache(PathBuf),
    /// The directory of the system's package.
    System(PathBuf),
    /// Just fetched from the web into this cache directory.
    Download(PathBuf),
}

impl Source {
    /// The directory that holds the files.
    pub fn directory(&self) -> &Path {
        match self {
            Self::Given(directory)
            | Self::Environment { directory, .. }
            | Self::Cache(directory)
            | Self::System(directory)
            | Self::Download(directory) => directory,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory().display();
        match self {
            Self::Given(_) | Self::System(_) => write!(f, "the directory {directory}"),
            Self::Environment { variable, .. } => {
                write!(f, "the directory {directory}, which {variable} names")
            }
            Self::Cache(_) => write!(f, "the cache directory {directory}"),
            Self::Download(_) => write!(f, "a download, now in the cache directory {directory}"),
        }
    }
}

/// A dataset whose files were found but not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the files are.
    pub source: Source,
}

impl Found {
    /// Reads the training and the test part: images `(n, 28, 28, 1)` from 0 to 1 and one-hot labels
    /// `(n, 10)`.
    ///
    /// # Errors
    /// A file cannot be read, is no IDX file of bytes, or has another shape than its name says;
    /// images and labels differ in number; a label is none of the ten classes. The sentence names
    /// the file.
    pub fn load(&self) -> Result<(Dataset, Dataset)> {
        four_files::load(self.source.directory())
    }
}

/// The directory given and no other.
pub(super) fn open(directory: &Path) -> Result<Found> {
    match four_files::fault(directory) {
        None => Ok(Found { source: Source::Given(directory.to_path_buf()) }),
        Some(fault) => Err(Error::file(fault)),
    }
}

/// The first copy in the order that the module's documentation gives.
pub(super) fn find(collection: &Collection) -> Result<Found> {
    let source = find_wanted(&wanted(collection, &|cache| download(collection, cache)))?;
    Ok(Found { source })
}

/// What is looked for, and what tells that it is there.
pub(super) struct Wanted<'w> {
    pub(super) title: &'w str,
    /// The environment variable that names its directory.
    pub(super) variable: &'static str,
    /// The name of its directory below the cache directory.
    pub(super) folder: &'w str,
    /// Where a package of the system puts it.
    pub(super) system: Option<&'w str>,
    /// What a user is to do to have it, as a sentence without its full stop.
    pub(super) advice: &'w str,
    /// Why a directory does not hold it, if it does not.
    pub(super) fault: &'w dyn Fn(&Path) -> Option<String>,
    /// Fetches it into the cache directory, or says why not.
    pub(super) download: &'w dyn Fn(&Path) -> Result<(), String>,
}

/// The first copy: the directory that is named, the cache's, the system's, or a download.
pub(super) fn find_wanted(wanted: &Wanted<'_>) -> Result<Source> {
    Places {
        named: env::var_os(wanted.variable).map(PathBuf::from),
        cache: cache_directory().map(|cache| cache.join("convnet").join(wanted.folder)),
        system: wanted.system.map(PathBuf::from),
    }
    .find(wanted)
}

fn wanted<'w>(
    collection: &'w Collection,
    download: &'w dyn Fn(&Path) -> Result<(), String>,
) -> Wanted<'w> {
    Wanted {
        title: collection.title,
        variable: collection.variable,
        folder: collection.folder,
        system: Some(collection.system),
        advice: collection.advice,
        fault: &four_files::fault,
        download,
    }
}

/// Where to look, apart from the environment so that tests can say it.
struct Places {
    named: Option<PathBuf>,
    cache: Option<PathBuf>,
    system: Option<PathBuf>,
}

impl Places {
    fn find(self, wanted: &Wanted<'_>) -> Result<Source> {
        let Wanted { title, variable, advice, fault, .. } = *wanted;
        if let Some(directory) = self.named {
            return match fault(&directory) {
                None => Ok(Source::Environment { variable, directory }),
                Some(fault) => Err(Error::file(format!("{title}: {variable} is set, but {fault}"))),
            };
        }
        let mut faults = vec![format!("{variable} is not set")];
        if let Some(cache) = &self.cache {
            match fault(cache) {
                None => return Ok(Source::Cache(cache.clone())),
                Some(fault) => faults.push(fault),
            }
        }
        if let Some(system) = self.system {
            match fault(&system) {
                None => return Ok(Source::System(system)),
                Some(fault) => faults.push(fault),
            }
        }
        match self.cache {
            None => faults.push("there is no cache directory: set HOME".into()),
            Some(cache) => match (wanted.download)(&cache) {
                Ok(()) => return Ok(Source::Download(cache)),
                Err(fault) => faults.push(fault),
            },
        }
        Err(Error::file(format!("{title} was not found: {}. {advice}", faults.join("; "))))
    }
}

#[cfg(feature = "download")]
fn download(collection: &Collection, cache: &Path) -> Result<(), String> {
    super::download::fetch(collection, cache)
}

#[cfg(not(feature = "download"))]
fn download(collection: &Collection, _cache: &Path) -> Result<(), String> {
    let mirrors = collection.mirrors.join(" or ");
    Err(format!("it was not downloaded (feature `download`, from {mirrors})"))
}

/// The user's directory for files that can be fetched again.
fn cache_directory() -> Option<PathBuf> {
    let home = env::home_dir().filter(|home| home.is_absolute());
    if cfg!(windows) {
        return env::var_os("LOCALAPPDATA").map(PathBuf::from);
    }
    if cfg!(target_os = "macos") {
        return Some(home?.join("Library/Caches"));
    }
    // The XDG base directory specification has relative paths ignored.
    let xdg = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| Some(home?.join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// No mirror: nothing can be fetched.
    const OFFLINE: Collection = Collection {
        title: "Clothes",
        variable: "CLOTHES_DIR",
        folder: "clothes",
        system: "/no/such/system/directory",
        advice: "Install them",
        mirrors: &[],
        checksums: [""; 4],
    };

    fn find_offline(places: Places) -> Result<Source> {
        places.find(&wanted(&OFFLINE, &|cache| download(&OFFLINE, cache)))
    }

    /// Makes a directory with the four files, empty since nobody reads them here.
    fn full(directory: PathBuf) -> PathBuf {
        fs::create_dir_all(&directory).unwrap();
        for name in four_files::NAMES {
            fs::write(directory.join(name), "").unwrap();
        }
        directory
    }

    #[test]
    fn the_first_complete_directory_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let [named, cache, system] = ["n", "c", "s"].map(|name| full(root.path().join(name)));
        let find = |named: Option<&PathBuf>| {
            let (cache, system) = (Some(cache.clone()), Some(system.clone()));
            find_offline(Places { named: named.cloned(), cache, system }).unwrap()
        };
        let variable = "CLOTHES_DIR";
        let directory = named.clone();
        assert_eq!(find(Some(&named)), Source::Environment { variable, directory });
        assert_eq!(find(None), Source::Cache(cache.clone()));
        assert_eq!(find(None).to_string(), format!("the cache directory {}", cache.display()));
        fs::remove_file(cache.join(four_files::NAMES[2])).unwrap();
        assert_eq!(find(None), Source::System(system.clone()));
    }

    #[test]
    fn a_named_directory_that_is_incomplete_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let [named, cache] = ["n", "c"].map(|name| full(root.path().join(name)));
        fs::remove_file(named.join(four_files::NAMES[0])).unwrap();
        let places = Places { named: Some(named), cache: Some(cache), system: None };
        let error = find_offline(places).unwrap_err().to_string();
        assert!(error.starts_with("Clothes: CLOTHES_DIR is set, but the directory "), "{error}");
        assert!(error.contains(" lacks train-images-idx3-ubyte "), "{error}");
    }

    #[test]
    fn nowhere_to_be_found_says_why_and_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let (cache, system) = (root.path().join("c"), root.path().join("s"));
        let places =
            Places { named: None, cache: Some(cache.clone()), system: Some(system.clone()) };
        let error = find_offline(places).unwrap_err().to_string();
        assert!(error.starts_with("Clothes was not found: CLOTHES_DIR is not set; "), "{error}");
        assert!(error.contains(&format!("{} cannot be read", cache.display())), "{error}");
        assert!(error.contains(&format!("{} cannot be read", system.display())), "{error}");
        assert!(error.contains("download"), "{error}");
        assert!(error.ends_with(". Install them"), "{error}");
        let places = Places { named: None, cache: None, system: Some(system) };
        let homeless = find_offline(places).unwrap_err();
        assert!(homeless.to_string().contains("no cache directory"), "{homeless}");
    }
}
