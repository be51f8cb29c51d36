//! The weights of a model in a file, in the safetensors format.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::path::Path;

use ndarray::{ArrayBase, Data, IxDyn};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View, serialize};

use super::Model;
use super::differences::Differences;
use crate::error::{Error, Result};

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
        write_tensors("save_weights", path.as_ref(), self.weights())
    }

    /// Replaces all weights by those in a file that [`save_weights`](Model::save_weights) wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or does not hold exactly this model's weights; the
    /// sentence lists those that are missing, unexpected or different, and the weights are as before.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let loaded = with_tensors(path, self.count_params(), |file| self.take_tensors(file));
        loaded.map_err(|why| Error::file(format!("load_weights: {} {why}", path.display())))
    }

    /// Takes all weights from a file that has exactly these.
    fn take_tensors(&mut self, file: &SafeTensors<'_>) -> Result<(), String> {
        let Self { network, weights, state, .. } = self;
        let own: Vec<_> = network.named_weights().collect();
        let mut differences = Differences::default();
        let stored: Vec<_> =
            own.iter().map(|(name, spec, _)| differences.tensor(file, name, &spec.shape)).collect();
        let names: HashSet<&str> = own.iter().map(|(name, ..)| name.as_str()).collect();
        differences.left_over(file, |name| names.contains(name));
        differences.judged()?;
        for ((_, spec, place), stored) in own.into_iter().zip(stored.into_iter().flatten()) {
            let all = if spec.trainable { &mut **weights } else { &mut **state };
            all[place].iter_mut().zip(floats(&stored)).for_each(|(to, float)| *to = float);
        }
        Ok(())
    }
}

/// What `f` makes of the tensors in a file, which are no more than so many numbers; or why not, as the
/// end of a sentence that begins with the file.
pub(crate) fn with_tensors<T>(
    path: &Path,
    most: usize,
    f: impl FnOnce(&SafeTensors<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let most = LARGEST_HEADER + 4 * most as u64;
    let bytes = std::fs::metadata(path).and_then(|metadata| match metadata.len() {
        size if size > most => Ok(Err(size)),
        _ => std::fs::read(path).map(Ok),
    });
    let bytes = bytes
        .map_err(|error| format!("cannot be read: {error}; give a file of weights"))?
        .map_err(|size| {
            format!("has {size} bytes, more than the weights of this model can take")
        })?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| format!("is no whole safetensors file: {error}; save the weights anew"))?;
    f(&file)
}

/// The numbers of a tensor of `F32`.
pub(crate) fn floats(tensor: &TensorView<'_>) -> impl Iterator<Item = f32> {
    tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

/// Writes tensors to a safetensors file.
pub(crate) fn write_tensors<S: Data<Elem = f32>>(
    who: &str,
    path: &Path,
    tensors: Vec<(String, ArrayBase<S, IxDyn>)>,
) -> Result<()> {
    let tensors = tensors.into_iter().map(|(name, array)| (name, Tensor(array)));
    let bytes = serialize(tensors, None).map_err(|error| cannot_write(who, path, &error))?;
    write_whole(who, path, &bytes)
}

/// Writes a file beside the one of this name, and puts it in its place when it is complete.
pub(crate) fn write_whole(who: &str, path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|error| cannot_write(who, path, &error))
}

fn cannot_write(who: &str, path: &Path, error: &dyn fmt::Display) -> Error {
    Error::file(format!(
        "{who}: cannot write {}: {error}; give a path that can be written",
        path.display()
    ))
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
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

/// An array as the format takes it.
struct Tensor<S: Data<Elem = f32>>(ArrayBase<S, IxDyn>);

impl<S: Data<Elem = f32>> View for Tensor<S> {
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
