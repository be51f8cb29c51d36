//! The weights of a model in a file, in the safetensors format.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use ndarray::ArrayViewD;
use safetensors::tensor::{Dtype, SafeTensors, View, serialize};

use super::Model;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// The most bytes the format allows for what stands before the weights.
const LARGEST_HEADER: u64 = 100_000_000;

impl Model {
    /// Writes all weights, frozen ones included, to a file in the safetensors format, under their
    /// names as in [`weights`](Model::weights): `conv2d/kernel`. A file that is there stays whole until
    /// the new one is complete.
    ///
    /// # Errors
    /// If the file cannot be written: no room, no right, no folder.
    ///
    /// ```
    /// use convnet::prelude::*;
    ///
    /// let network = |seed| {
    ///     let x = Input::new(3);
    ///     convnet::Result::Ok(Model::new(&x, x.apply(Dense::new(2))?)?.seed(seed))
    /// };
    /// let folder = tempfile::tempdir().unwrap();
    /// let path = folder.path().join("weights.safetensors");
    /// let (trained, mut other) = (network(1)?, network(2)?);
    /// trained.save_weights(&path)?;
    /// other.load_weights(&path)?;
    /// assert_eq!(other.weights(), trained.weights());
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let weights = self.weights().into_iter().map(|(name, weight)| (name, Weight(weight)));
        let written = serialize(weights, None)
            .map_err(|error| std::io::Error::other(error.to_string()))
            .and_then(|bytes| write_whole(path, &bytes));
        written.map_err(|error| {
            Error::file(format!(
                "save_weights: cannot write {}: {error}; give a path that can be written",
                path.display()
            ))
        })
    }

    /// Replaces all weights by those in a file that [`save_weights`](Model::save_weights) wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or does not hold exactly this model's weights; the
    /// sentence lists those that are missing, unexpected or different, and the weights are as before.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let refuse = |why: String| Error::file(format!("load_weights: {} {why}", path.display()));
        let most = LARGEST_HEADER + 4 * self.count_params() as u64;
        let bytes = std::fs::metadata(path).and_then(|metadata| match metadata.len() {
            size if size > most => Ok(Err(size)),
            _ => std::fs::read(path).map(Ok),
        });
        let bytes = bytes
            .map_err(|error| refuse(format!("cannot be read: {error}; give a file of weights")))?
            .map_err(|size| {
                refuse(format!("has {size} bytes, more than the weights of this model can take"))
            })?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            refuse(format!("is no whole safetensors file: {error}; save the weights anew"))
        })?;
        self.check_names(&file).map_err(|why| refuse(format!("does not fit this model: {why}")))?;

        let Self { network, weights, state, .. } = self;
        for (name, spec, place) in network.named_weights() {
            let stored = file.tensor(&name).map_err(|error| refuse(error.to_string()))?;
            let floats = if spec.trainable { &mut **weights } else { &mut **state };
            let (stored, _) = stored.data().as_chunks::<4>();
            for (float, bytes) in floats[place].iter_mut().zip(stored) {
                *float = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    /// What of a file's weights is missing, unexpected or different.
    fn check_names(&self, file: &SafeTensors<'_>) -> Result<(), String> {
        let own: Vec<(String, Shape)> = self
            .network
            .named_weights()
            .map(|(name, spec, _)| (name, spec.shape.clone()))
            .collect();
        let mut unexpected: Vec<String> = file
            .names()
            .into_iter()
            .filter(|name| own.iter().all(|(own, _)| own != name))
            .map(|name| format!("`{name}`"))
            .collect();
        unexpected.sort();
        let (mut missing, mut different) = (Vec::new(), Vec::new());
        for (name, shape) in &own {
            match file.tensor(name) {
                Err(_) => missing.push(format!("`{name}`")),
                Ok(stored) if stored.shape() != &**shape || stored.dtype() != Dtype::F32 => {
                    different.push(format!(
                        "`{name}` ({} of shape {} in the file, F32 of shape {shape} here)",
                        stored.dtype(),
                        Shape::from(stored.shape())
                    ));
                }
                Ok(_) => {}
            }
        }
        let lists = [("missing", missing), ("unexpected", unexpected), ("different", different)];
        let lists: Vec<String> = lists
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        if lists.is_empty() { Ok(()) } else { Err(lists.join("; ")) }
    }
}

/// Writes a file beside the one of this name, and puts it in its place when it is complete.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // As for any new file; the usual ones of a temporary file let nobody else read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// A weight as the format takes it.
struct Weight<'a>(ArrayViewD<'a, f32>);

impl View for Weight<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.iter().flat_map(|float| float.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        4 * self.0.len()
    }
}
