//! Weights and models that Keras 3 wrote.

use std::path::Path;

use self::file::KerasFile;
use crate::error::{Error, Result};
use crate::model::Model;

mod architecture;
mod file;
mod layers;
mod weights;

impl Model {
    /// Replaces all weights by those in a file that Keras 3 wrote: `model.save_weights("….weights.h5")` or
    /// `model.save("….keras")`. With the feature `keras`.
    ///
    /// The model here has the same layers. One that was given a [`name`](crate::layers::Layer::name) gets
    /// the weights of the layer that has this name in Keras; of the others, those of one class get theirs
    /// in the order in which Keras lists them (`model.layers`). In a graph with branches that may be
    /// another order than here: there, give the layers the names that they have in Keras.
    ///
    /// What the file has of an optimizer is left.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or does not hold exactly this model's weights; the sentence
    /// lists those that are missing, unexpected or different, and the weights are as before.
    ///
    /// ```no_run
    /// use convnet::prelude::*;
    ///
    /// let image = Input::new([28, 28, 1]);
    /// let mut model = Model::new(&image, models::lenet5(&image, 10)?)?;
    /// model.load_keras("lenet5.weights.h5")?;
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn load_keras(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let refuse = |why| Error::file(format!("load_keras: {} {why}", path.display()));
        let file = KerasFile::read(path).map_err(refuse)?;
        self.take_over(&file).map_err(refuse)
    }

    /// The model in a `.keras` file that Keras 3 wrote by `model.save`, with its weights. With the feature
    /// `keras`.
    ///
    /// The model is `Sequential` or a functional one, and every layer has its like here with the same
    /// settings; the layers keep their names. Its optimizer, loss and metrics are left: `compile` it as
    /// any other.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, or if a layer or a setting has no like here; the sentence
    /// names it.
    ///
    /// ```no_run
    /// use convnet::prelude::*;
    ///
    /// let model = Model::from_keras("lenet5.keras")?;
    /// println!("{}", model.summary());
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn from_keras(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refuse = |why: String| Error::file(format!("from_keras: {} {why}", path.display()));
        let file = KerasFile::read(path).map_err(refuse)?;
        let Some(config) = &file.config else {
            return Err(refuse(
                "has weights and no architecture; give a .keras file, or build the model and use \
                 load_keras"
                    .to_string(),
            ));
        };
        let mut model = architecture::model(config, file.count()).map_err(refuse)?;
        model.take_over(&file).map_err(refuse)?;
        Ok(model)
    }

    fn take_over(&mut self, file: &KerasFile) -> Result<(), String> {
        for (name, weight) in weights::weights(&self.network, file)? {
            self.set_weight(&name, &weight).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
