//! Weights to and from PyTorch, as safetensors files of a `state_dict`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::Path;

use ndarray::ArrayD;

use self::layers::{Tensor, tensors};
use crate::error::{Error, ErrorKind, Result};
use crate::files::{self, Tensors, write_tensors};
use crate::model::{Matching, Model};

mod layers;
mod order;

/// How many batches batch normalisation has seen, which PyTorch counts and nobody needs.
const COUNTED_BATCHES: &str = ".num_batches_tracked";

/// # PyTorch
///
/// Weights go both ways as a safetensors file of a `state_dict`: in Python
/// `safetensors.torch.save_file(model.state_dict(), path)` and
/// `model.load_state_dict(safetensors.torch.load_file(path))`. Layouts are converted: those of kernels, and
/// the order of the numbers behind `Flatten`, since PyTorch's images have the channels before the pixels.
///
/// Such a file does not tell the order of the modules, so they are found by name: a layer's module is
/// called as the layer, or as `modules` says, pairs of a layer here and a module there.
///
/// | layer here           | module there                       | its tensors                                       |
/// |----------------------|------------------------------------|---------------------------------------------------|
/// | `Conv2D`             | `Conv2d`                           | `weight`, `bias`                                  |
/// | `DepthwiseConv2D`    | `Conv2d` with as many groups as channels | `weight`, `bias`                            |
/// | `SeparableConv2D`    | a module with two of them          | `depthwise.weight`, `pointwise.weight`, `pointwise.bias` |
/// | `Dense`              | `Linear`                           | `weight`, `bias`                                  |
/// | `BatchNormalization` | `BatchNorm2d`, `BatchNorm1d`       | `weight`, `bias`, `running_mean`, `running_var`   |
///
/// Settings are not in such a file. What PyTorch has otherwise by default: an epsilon of 1e-5 in batch
/// normalisation, and no padding that is uneven, as `Same` is with strides and even kernels.
impl Model {
    /// Replaces all weights by those of a `state_dict`, see [above](#pytorch).
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or does not hold exactly this model's weights; the sentence
    /// lists those that are missing, unexpected or different, and the weights are as before. If a layer
    /// with weights is none of the table, or if numbers would be in an order that PyTorch's layers
    /// do not have.
    ///
    /// ```no_run
    /// use convnet::prelude::*;
    ///
    /// let image = Input::new([28, 28, 1]);
    /// let mut model = Model::new(&image, models::lenet5(&image, 10)?)?;
    /// let modules = [
    ///     ("conv2d", "conv1"),
    ///     ("conv2d_1", "conv2"),
    ///     ("dense", "fc1"),
    ///     ("dense_1", "fc2"),
    ///     ("dense_2", "fc3"),
    /// ];
    /// model.load_pytorch("lenet5.safetensors", &modules)?;
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn load_pytorch(&mut self, path: impl AsRef<Path>, modules: &[(&str, &str)]) -> Result<()> {
        let path = path.as_ref();
        let refuse = |why: String| Error::file(format!("load_pytorch: {} {why}", path.display()));
        let tensors = self.pytorch_tensors("load_pytorch", modules)?;
        let loaded = Tensors::open(path).and_then(|mut file| loaded(&tensors, &mut file));
        let weights = loaded.map_err(refuse)?;
        for (name, weight) in weights {
            self.set_weight(&name, &weight)?;
        }
        Ok(())
    }

    /// Writes all weights as a `state_dict`, see [above](#pytorch). A file that is there stays whole until
    /// the new one is complete.
    ///
    /// # Errors
    /// If the file cannot be written, and as [`load_pytorch`](Model::load_pytorch) for what the layers
    /// are.
    ///
    /// ```
    /// use convnet::prelude::*;
    ///
    /// let network = |seed| {
    ///     let image = Input::new([28, 28, 1]);
    ///     convnet::Result::Ok(Model::new(&image, models::lenet5(&image, 10)?)?.seed(seed))
    /// };
    /// let folder = tempfile::tempdir().unwrap();
    /// let path = folder.path().join("lenet5.safetensors");
    /// let (trained, mut other) = (network(1)?, network(2)?);
    /// trained.save_pytorch(&path, &[("dense_2", "head")])?;
    /// other.load_pytorch(&path, &[("dense_2", "head")])?;
    /// assert_eq!(other.weights(), trained.weights());
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn save_pytorch(&self, path: impl AsRef<Path>, modules: &[(&str, &str)]) -> Result<()> {
        let weights: HashMap<_, _> = self.weights().into_iter().collect();
        let tensors = self.pytorch_tensors("save_pytorch", modules)?.into_iter();
        let tensors = tensors.map(|tensor| {
            let there = tensor.there(weights[&tensor.weight].view());
            let floats: Vec<f32> = there.iter().copied().collect();
            (tensor.name, files::Tensor::new(&tensor.shape, floats))
        });
        write_tensors("save_pytorch", path.as_ref(), tensors, HashMap::new())
    }

    /// What the model has in a `state_dict`.
    fn pytorch_tensors(&self, who: &str, modules: &[(&str, &str)]) -> Result<Vec<Tensor>> {
        let refuse = |why| Error::new(ErrorKind::Graph, format!("{who}: {why}"));
        let mut names: HashMap<&str, &str> = HashMap::new();
        for &(layer, module) in modules {
            if self.network.steps.iter().all(|step| step.name != layer) {
                let known = self.layer_names().join(", ");
                return Err(refuse(format!("the model has no layer `{layer}`; it has {known}")));
            }
            if names.insert(layer, module).is_some() {
                return Err(refuse(format!("`{layer}` has two modules; give it one")));
            }
        }
        let tensors = tensors(&self.network, &names).map_err(refuse)?;
        let mut taken = HashSet::new();
        match tensors.iter().find(|tensor| !taken.insert(&tensor.name)) {
            Some(tensor) => Err(refuse(format!(
                "two layers would have the tensor `{}`; give each a module of its own",
                tensor.name
            ))),
            None => Ok(tensors),
        }
    }
}

/// The weights of a file as they are here.
fn loaded(
    tensors: &[Tensor],
    file: &mut Tensors<File>,
) -> Result<Vec<(String, ArrayD<f32>)>, String> {
    let mut matching = Matching::default();
    let infos = file.infos();
    for tensor in tensors {
        matching.weight(&tensor.name, &tensor.shape, infos.get(&tensor.name).copied());
    }
    let own: HashSet<&str> = tensors.iter().map(|tensor| &*tensor.name).collect();
    let others = infos.into_keys().filter(|name| !own.contains(&**name));
    matching.left_over(others.filter(|name| !name.ends_with(COUNTED_BATCHES)));
    matching.strictly()?;
    let weights = tensors.iter().map(|tensor| {
        let mut array = ArrayD::zeros(&*tensor.shape);
        file.read(&tensor.name, array.as_slice_mut().expect("a new array is in standard order"))?;
        Ok((tensor.weight.clone(), tensor.here(array)))
    });
    weights.collect()
}
