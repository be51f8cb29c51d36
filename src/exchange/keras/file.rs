//! What is in the files that Keras writes: `.weights.h5`, and `.keras`, a zip of such a file and the
//! architecture as JSON. Nothing in them is trusted.

use std::io::Read;
use std::path::Path;

use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Hdf5File, OpenOptions};
use rawzip::{CompressionMethod, ZipArchive};
use serde_json::Value;

/// How every HDF5 file begins, and every zip.
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
const ZIP: &[u8] = b"PK";

/// The parts of a `.keras` file.
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.weights.h5";

/// The most groups within groups that are looked into: Keras has three, and one more for each layer
/// within a layer.
const DEEPEST: usize = 16;

/// What Keras wrote.
pub(super) struct KerasFile {
    /// The architecture, in a `.keras` file.
    pub(super) config: Option<Value>,
    pub(super) layers: Vec<Stored>,
    /// Weights that are not where those of a layer are.
    pub(super) others: Vec<String>,
}

/// The weights of one layer.
pub(super) struct Stored {
    /// Its place in the file, which is its class and a number: `conv2d_1`.
    pub(super) place: String,
    /// What the layer is called in Keras.
    pub(super) name: String,
    pub(super) weights: Vec<Dataset>,
}

impl Stored {
    /// The class and the number of the place.
    pub(super) fn class(&self) -> (&str, usize) {
        let numbered = self
            .place
            .rsplit_once('_')
            .and_then(|(class, number)| number.parse().ok().map(|number| (class, number)));
        numbered.unwrap_or((&self.place, 0))
    }
}

impl KerasFile {
    /// Reads a file, or says why not, as the end of a sentence that begins with the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path)
            .map_err(|error| format!("cannot be read: {error}; give a file that Keras wrote"))?;
        if bytes.starts_with(HDF5) {
            return Self::of(None, bytes);
        }
        if !bytes.starts_with(ZIP) {
            return Err("is no file of Keras 3; give a .weights.h5 or .keras file".to_string());
        }
        let config = serde_json::from_slice(&part(&bytes, CONFIG)?)
            .map_err(|error| format!("has a damaged {CONFIG}: {error}; save the model anew"))?;
        Self::of(Some(config), part(&bytes, WEIGHTS)?)
    }

    /// How many numbers all weights of layers have together.
    pub(super) fn count(&self) -> usize {
        let weights = self.layers.iter().flat_map(|layer| &layer.weights);
        weights.filter_map(|weight| usize::try_from(weight.num_elements().ok()?).ok()).sum()
    }

    fn of(config: Option<Value>, bytes: Vec<u8>) -> Result<Self, String> {
        let damaged = |error| format!("is no whole HDF5 file: {error}; save the weights anew");
        let mut file = Self { config, layers: Vec::new(), others: Vec::new() };
        // Every object takes some bytes, and so do the numbers of a weight.
        let mut left = bytes.len();
        let options = OpenOptions::default()
            .with_max_read_bytes(bytes.len())
            .with_max_chunk_bytes(bytes.len())
            .with_max_object_header_bytes(bytes.len());
        // Links to other files are not followed.
        let hdf5 = Hdf5File::from_vec_with_options(bytes, options).map_err(damaged)?;
        let mut pending = vec![(String::new(), 0, hdf5.root_group().map_err(damaged)?)];
        while let Some((path, depth, group)) = pending.pop() {
            let (groups, weights) = group.members().map_err(damaged)?;
            for object in 0..1 + groups.len() + weights.len() {
                let bytes = weights.get(object).map_or(Ok(0), Dataset::raw_byte_len).ok();
                let rest = bytes.and_then(|bytes| left.checked_sub(bytes.saturating_add(SMALLEST)));
                left = rest.ok_or("claims more numbers than it has; save the weights anew")?;
            }
            if depth < DEEPEST {
                pending.extend(groups.into_iter().rev().map(|group| {
                    let path = format!("{path}/{}", group.name());
                    (path, depth + 1, group)
                }));
            }
            file.add(&path, &group, weights);
        }
        Ok(file)
    }

    /// Takes the weights of one group in.
    fn add(&mut self, path: &str, group: &Group, mut weights: Vec<Dataset>) {
        let layer = path.strip_prefix("/layers/").and_then(|path| path.strip_suffix("/vars"));
        match layer {
            Some(place) if !place.contains('/') => {
                let name = group.attribute("name").ok().and_then(|name| name.read_string().ok());
                let number = |weight: &Dataset| weight.name().parse().unwrap_or(usize::MAX);
                weights.sort_by_key(number);
                let place = place.to_string();
                let name = name.unwrap_or_else(|| place.clone());
                self.layers.push(Stored { place, name, weights });
            }
            // What the optimizer has, and the seeds of layers that draw.
            _ if path.starts_with("/optimizer") || path.contains("/seed_generator") => {}
            _ => {
                let path = path.trim_start_matches('/');
                self.others.extend(weights.iter().map(|w| format!("{path}/{}", w.name())));
            }
        }
    }
}

/// No object of an HDF5 file is described in fewer bytes.
const SMALLEST: usize = 8;

/// A part of a zip; Keras does not compress them.
fn part(bytes: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let damaged = |error| format!("is no whole .keras file: {error}; save the model anew");
    let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        if entry.file_path().as_ref() != name.as_bytes() {
            continue;
        }
        if entry.compression_method() != CompressionMethod::STORE {
            return Err(format!("has its {name} compressed; give a file as Keras wrote it"));
        }
        let entry = archive.get_entry(entry.wayfinder()).map_err(damaged)?;
        let mut part = Vec::new();
        let read = entry.verifying_reader(entry.data()).read_to_end(&mut part);
        read.map_err(|error| format!("has a damaged {name}: {error}; save the model anew"))?;
        return Ok(part);
    }
    Err(format!("has no {name}; give a .keras file that Keras 3 wrote"))
}
