//! The weights of a model in a file, in the safetensors format.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::TensorInfo;

use super::network::Network;
use super::{Matching, Model, Snapshot};
use crate::error::{Error, Result};
use crate::files::{Tensor, Tensors, write_tensors};

impl Model {
    /// Writes all weights, frozen ones included, to a file in the safetensors format, under their
    /// names as in [`weights`](Model::weights): `conv2d/kernel`. A file that is there stays whole until
    /// the new one is complete. [`save`](Model::save) writes the network too.
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
        write_tensors("save_weights", path.as_ref(), self.tensors(""), HashMap::new())
    }

    /// All weights with this before their names.
    pub(crate) fn tensors(&self, prefix: &str) -> impl Iterator<Item = (String, Tensor<'_>)> {
        self.network.tensors(prefix, [&self.weights, &self.state], self.network.places())
    }

    /// Those of an earlier copy.
    pub(crate) fn tensors_of<'s>(
        &'s self,
        snapshot: &'s Snapshot,
        prefix: &str,
    ) -> impl Iterator<Item = (String, Tensor<'s>)> {
        let Snapshot { weights, state, places } = snapshot;
        self.network.tensors(prefix, [weights, state], places.iter().cloned())
    }

    /// Replaces all weights by those in a file that [`save_weights`](Model::save_weights) or
    /// [`save`](Model::save) wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or does not hold exactly this model's weights; the
    /// sentence lists those that are missing, unexpected or different, and the weights are as before.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let loaded = Tensors::open(path).and_then(|mut file| {
            self.network.compare(&file.infos()).strictly()?;
            self.read(&mut file, "", &self.network.weight_names())
        });
        let loaded = loaded.map(|snapshot| self.restore(&snapshot));
        loaded.map_err(|why| Error::file(format!("load_weights: {} {why}", path.display())))
    }

    /// Replaces the weights that a file has under the same name and in the same shape, and leaves the
    /// others. Keras: `load_weights(…, skip_mismatch=True)`.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, or if nothing in it matches; the weights are then as
    /// before.
    ///
    /// ```
    /// use convnet::prelude::*;
    ///
    /// let network = |classes| {
    ///     let x = Input::new(3);
    ///     let features = x.apply(Dense::new(4).name("features"))?;
    ///     Model::new(&x, features.apply(Dense::new(classes).name("head"))?)
    /// };
    /// let folder = tempfile::tempdir().unwrap();
    /// let path = folder.path().join("weights.safetensors");
    /// network(10)?.save_weights(&path)?;
    /// let matching = network(2)?.load_weights_matching(&path)?;
    /// assert_eq!(matching.loaded, ["features/kernel", "features/bias"]);
    /// assert_eq!(matching.different.len(), 2);
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn load_weights_matching(&mut self, path: impl AsRef<Path>) -> Result<Matching> {
        let path = path.as_ref();
        let loaded = Tensors::open(path).and_then(|mut file| {
            let matching = self.network.compare(&file.infos());
            if matching.loaded.is_empty() {
                return Err(format!("has nothing for this model: {matching}"));
            }
            self.restore(&self.read(&mut file, "", &matching.loaded)?);
            Ok(matching)
        });
        loaded
            .map_err(|why| Error::file(format!("load_weights_matching: {} {why}", path.display())))
    }

    /// A copy of all weights in which those of these names are as in the file, which has `prefix` before
    /// each name.
    pub(crate) fn read<R: Read + Seek>(
        &self,
        file: &mut Tensors<R>,
        prefix: &str,
        names: &[String],
    ) -> Result<Snapshot, String> {
        let wanted: HashSet<&String> = names.iter().collect();
        let mut snapshot = self.snapshot();
        for (name, spec, place) in self.network.named_weights() {
            if wanted.contains(&name) {
                let Snapshot { weights, state, .. } = &mut snapshot;
                let floats = if spec.trainable { &mut **weights } else { &mut **state };
                file.read(&format!("{prefix}{name}"), &mut floats[place])?;
            }
        }
        Ok(snapshot)
    }
}

impl Network {
    /// The names of all weights.
    pub(crate) fn weight_names(&self) -> Vec<String> {
        self.named_weights().map(|(name, ..)| name).collect()
    }

    /// All weights, which lie at these places of the trainable and the frozen floats, with this before their
    /// names.
    fn tensors<'s>(
        &'s self,
        prefix: &str,
        [weights, state]: [&'s [f32]; 2],
        places: impl Iterator<Item = Range<usize>>,
    ) -> impl Iterator<Item = (String, Tensor<'s>)> {
        self.named_weights().zip(places).map(move |((name, spec, _), place)| {
            let floats = if spec.trainable { weights } else { state };
            (format!("{prefix}{name}"), Tensor::new(&spec.shape, &floats[place]))
        })
    }

    /// How the tensors of a file and the weights compare.
    pub(crate) fn compare(&self, file: &HashMap<String, &TensorInfo>) -> Matching {
        let mut matching = Matching::default();
        let mut own = HashSet::new();
        for (name, spec, _) in self.named_weights() {
            matching.weight(&name, &spec.shape, file.get(&name).copied());
            own.insert(name);
        }
        matching.left_over(file.keys().filter(|name| !own.contains(*name)).cloned());
        matching
    }
}
