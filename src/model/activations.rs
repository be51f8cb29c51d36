//! What every layer makes of some samples.

use ndarray::ArrayD;

use super::network::Network;
use super::workspace::Workspace;
use super::{BATCH_SIZE, Model};
use crate::batches::Data;
use crate::error::Result;
use crate::samples::IntoSamples;

impl Model {
    /// The output of every layer for each sample of `x`, in inference mode, with the layers' names, in the
    /// order of [`layer_names`](Model::layer_names); inputs are among them. Each is what the layer as it
    /// was written gives, its own activation included. Keras: a `Model` with all layers' outputs.
    ///
    /// All of them are in memory at once: give the samples to be looked at, not all there are.
    ///
    /// # Errors
    /// If the data do not have the shapes of the model's inputs, are empty or not finite.
    ///
    /// ```
    /// use convnet::prelude::*;
    /// use ndarray::Array4;
    ///
    /// let image = Input::new([28, 28, 1]);
    /// let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    /// let x = Array4::<f32>::ones((3, 28, 28, 1));
    /// let activations = model.activations(&x)?;
    /// let (name, maps) = &activations[1];
    /// assert_eq!((name.as_str(), maps.shape()), ("conv2d", &[3, 28, 28, 6][..]));
    /// assert_eq!(activations.last().unwrap().1, model.predict(&x)?);
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn activations<'a>(&self, x: impl IntoSamples<'a>) -> Result<Vec<(String, ArrayD<f32>)>> {
        let mut network = self.network.clone();
        network.outputs = (0..network.steps.len()).collect();
        let Network { inputs, steps, .. } = &network;
        let data = Data::inputs(x.into_samples(), network.shapes(inputs), "activations")?;
        let mut workspace = Workspace::for_inference(&network, data.len().min(BATCH_SIZE));
        let outputs = self.infer(&data, &network, &mut workspace)?;
        Ok(steps.iter().map(|step| step.name.clone()).zip(outputs).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Input, Nodes};
    use crate::layers::{Activation, Add, Conv2D, Dense, Dropout, Flatten, Layer, MaxPool2D};
    use crate::model::Model;
    use crate::optimizers::Adam;
    use ndarray::{Array4, Axis};

    /// Of branches, in rows and in lanes, before and after `compile` has moved activations: what a model
    /// that ends with the layer predicts.
    #[test]
    fn each_is_what_a_model_up_to_there_predicts() {
        let image = Input::new([9, 9, 2]);
        let conv = Conv2D::new(5, 3).padding(crate::layers::Padding::Same);
        let stem = image.apply(conv.activation(Activation::Relu).name("stem")).unwrap();
        let pool = stem.apply(MaxPool2D::new(3)).unwrap();
        let side = image.apply(Conv2D::new(5, 3).strides(3)).unwrap();
        let sum = [pool, side].apply(Add::new()).unwrap().apply(Dropout::new(0.5)).unwrap();
        let class = sum.apply(Flatten::new()).unwrap();
        let class = class.apply(Dense::new(4).activation(Activation::Softmax)).unwrap();
        let model = Model::new(&image, &class).unwrap().seed(1);
        let model = model.compile(Adam::default(), crate::losses::CategoricalCrossentropy, ());
        for n in [3, 16, 40] {
            let x = Array4::from_shape_fn((n, 9, 9, 2), |(n, y, x, c)| {
                ((n * 7 + y * 5 + x * 3 + c) % 11) as f32 / 5.0 - 1.0
            });
            let activations = model.activations(&x).unwrap();
            let names: Vec<&str> = activations.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, model.layer_names());
            assert_eq!(activations[0].1, x.clone().into_dyn());
            for (name, found) in &activations[1..] {
                let inputs = model.inputs();
                let part = Model::new(inputs, model.output_of(name).unwrap()).unwrap();
                let part = match part.weights().is_empty() {
                    true => part,
                    false => part.weights_from(&model).unwrap(),
                };
                assert_eq!(found, part.predict(&x).unwrap(), "{name}, {n} samples");
            }
            let stem = &activations.iter().find(|(name, _)| name == "stem").unwrap().1;
            assert!(stem.iter().all(|&y| y >= 0.0) && stem.iter().any(|&y| y > 0.0));
            assert_eq!(stem.len_of(Axis(0)), n);
        }
    }
}
