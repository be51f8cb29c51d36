//! How a score changes with each number of the input: saliency.

use std::ops::ControlFlow;

use ndarray::{ArrayD, Axis};

use super::network::Network;
use super::training_workspace::TrainingWorkspace;
use super::{BATCH_SIZE, Model};
use crate::batches::{Chunk, Data};
use crate::error::{Error, Result};
use crate::kernels::parallel::inside_pool;
use crate::layers::Activation;
use crate::samples::IntoSamples;
use crate::words::counted;

impl Model {
    /// The gradient of a class's score to the inputs, for each sample: how much the score would change with
    /// each pixel. One array of the shape of each input of the model. `classes` says for each sample which
    /// class is meant: the number of an element of the output.
    ///
    /// Everything is as in inference: dropout passes on, batch normalisation uses its moving statistics.
    /// The score is the one **before** a softmax or sigmoid that the model ends with, as in Simonyan et al.
    /// 2013: behind it the gradient vanishes where the model is sure, and a class gains when another one
    /// loses. In Keras: `GradientTape` over a model whose last layer has had its activation set to `None`. A
    /// softmax whose output another layer reads stays.
    ///
    /// # Errors
    /// If the data do not have the shapes of the model's inputs, are empty or not finite, if there is not
    /// one class for each sample or the output has no such element, or if the model has several outputs.
    ///
    /// ```
    /// use convnet::prelude::*;
    /// use ndarray::array;
    ///
    /// let x = Input::new(2);
    /// let mut model = Model::new(&x, x.apply(Dense::new(2).activation(Softmax))?)?;
    /// model.set_weight("dense/kernel", &array![[1.0, 2.0], [3.0, 4.0]])?;
    /// let gradients = model.input_gradients(&array![[5.0, 6.0], [7.0, 8.0]], &[0, 1])?;
    /// assert_eq!(gradients[0], array![[1.0, 3.0], [2.0, 4.0]].into_dyn());
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn input_gradients<'a>(
        &self,
        x: impl IntoSamples<'a>,
        classes: &[usize],
    ) -> Result<Vec<ArrayD<f32>>> {
        const WHO: &str = "input_gradients";
        let mut network = self.network.clone();
        let data = Data::inputs(x.into_samples(), network.shapes(&network.inputs), WHO)?;
        let [output] = network.outputs[..] else {
            return Err(Error::data(format!(
                "{WHO}: the model has {} outputs; build one with the output to look at",
                network.outputs.len()
            )));
        };
        let scores = network.steps[output].shape.size();
        if classes.len() != data.len() {
            return Err(Error::data(format!(
                "{WHO}: got {} but {}; give one for each sample",
                counted(data.len(), "input"),
                counted(classes.len(), "class")
            )));
        }
        if let Some(sample) = classes.iter().position(|&class| class >= scores) {
            return Err(Error::data(format!(
                "{WHO}: the class of sample {sample} is {}; the output has {scores}, counted from 0",
                classes[sample]
            )));
        }
        score_instead(&mut network, output);

        let mut workspace = TrainingWorkspace::new(&network, data.len().min(BATCH_SIZE));
        let inputs = network.shapes(&network.inputs);
        let mut gradients: Vec<ArrayD<f32>> =
            inputs.map(|shape| ArrayD::zeros([&[data.len()], &**shape].concat())).collect();
        let mut state = self.state.to_vec();
        let mut done = 0;
        let run = |chunk: Chunk<'_>| {
            let n = chunk.places.len();
            for i in 0..chunk.x.arrays() {
                chunk.x.gather(i, chunk.places, workspace.input(i, n));
            }
            workspace.forward(n, &self.weights, &mut state, 0);
            let (_, gradient) = workspace.output_and_gradient(0, n);
            gradient.fill(0.0);
            for (gradient, &sample) in gradient.chunks_exact_mut(scores).zip(chunk.indices) {
                gradient[classes[sample]] = 1.0;
            }
            workspace.backward(n, &self.weights, &mut []);
            for (i, gradients) in gradients.iter_mut().enumerate() {
                let mut part = gradients.slice_axis_mut(Axis(0), (done..done + n).into());
                let part = part.as_slice_mut().expect("whole samples of a row-major array");
                part.copy_from_slice(workspace.input_gradient(i, n));
            }
            done += n;
            Ok(ControlFlow::Continue(()))
        };
        let order: Vec<usize> = (0..data.len()).collect();
        inside_pool(|| data.each(&order, BATCH_SIZE, None, run))?;
        Ok(gradients)
    }
}

/// Makes of a network one whose training passes are inference up to the scores, and whose gradients reach
/// the inputs and no weight.
fn score_instead(network: &mut Network, output: usize) {
    let read = network.steps.iter().any(|step| step.inputs.contains(&output));
    let last = network.steps[output].layer.as_ref().and_then(|layer| layer.without_activation());
    if let (false, Some((Activation::Softmax | Activation::Sigmoid, scores))) = (read, last) {
        network.steps[output].layer = Some(scores);
    }
    for step in &mut network.steps {
        (step.is_fixed, step.learns) = (true, true);
        if let Some(same) = step.layer.as_ref().and_then(|layer| layer.at_inference()) {
            step.layer = Some(same);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Input, Node, Nodes};
    use crate::layers::*;
    use ndarray::{Array, Array2, Array4, Dimension, IxDyn};

    fn numbers<D: Dimension>(shape: impl ndarray::ShapeBuilder<Dim = D>) -> Array<f32, D> {
        let mut seed = 1u32;
        Array::from_shape_simple_fn(shape, || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
    }

    /// Compares with central differences of what `predict` gives, whose last layer is linear here.
    fn differences(model: &Model, x: &ArrayD<f32>, classes: &[usize]) {
        let found = model.input_gradients(x, classes).unwrap().remove(0);
        assert_eq!(found.shape(), x.shape());
        assert!(found.iter().any(|&gradient| gradient != 0.0));
        let scores = |x: &ArrayD<f32>| model.predict(x).unwrap();
        let step = 1.0 / 64.0;
        let per_sample = x.len() / classes.len();
        for element in 0..per_sample {
            let moved = |by: f32| {
                let mut x = x.clone();
                let floats = x.as_slice_mut().unwrap();
                floats.iter_mut().skip(element).step_by(per_sample).for_each(|x| *x += by);
                scores(&x)
            };
            let (up, down) = (moved(step), moved(-step));
            for (sample, &class) in classes.iter().enumerate() {
                let slope = (up[[sample, class]] - down[[sample, class]]) / (2.0 * step);
                let gradient = found.as_slice().unwrap()[sample * per_sample + element];
                assert!(
                    (slope - gradient).abs() < 2e-3 * (1.0 + slope.abs()),
                    "sample {sample}, element {element}: {gradient}, by differences {slope}"
                );
            }
        }
    }

    /// Smooth layers, branches, dropout and random layers, batch normalisation with statistics of its own;
    /// in rows and in lanes.
    #[test]
    fn they_are_the_slopes_of_what_is_predicted() {
        let image = Input::new([5, 5, 2]);
        let x = image.apply(RandomFlip::new()).unwrap().apply(RandomTranslation::new(0.4, 0.4));
        let x = x.unwrap().apply(RandomRotation::new(0.3)).unwrap();
        let x = x.apply(RandomErasing::new().factor((1.0, 1.0))).unwrap();
        let stem = x.apply(Conv2D::new(3, 3).activation(Activation::Tanh)).unwrap();
        let same = || Conv2D::new(3, 3).padding(Padding::Same);
        let left = stem.apply(same()).unwrap().apply(BatchNormalization::new()).unwrap();
        let right = stem.apply(Dropout::new(0.5)).unwrap();
        let sum = [left, right, stem].apply(Add::new()).unwrap();
        let pooled = sum.apply(GlobalAveragePooling2D::new()).unwrap();
        let y = pooled.apply(Dense::new(4)).unwrap();
        let mut model = Model::new(&image, &y).unwrap().seed(3);
        let statistics = numbers(IxDyn(&[3]));
        model.set_weight("batch_normalization/moving_mean", &statistics).unwrap();
        let variance = statistics.mapv(|x| 1.5 + x);
        model.set_weight("batch_normalization/moving_variance", &variance).unwrap();
        let before = model.snapshot();
        for n in [2, 20] {
            let x = numbers((n, 5, 5, 2)).into_dyn();
            let classes: Vec<usize> = (0..n).map(|sample| sample % 4).collect();
            differences(&model, &x, &classes);
        }
        assert_eq!(format!("{before:?}"), format!("{:?}", model.snapshot()));
    }

    #[test]
    fn several_inputs_and_more_than_a_batch() {
        let (a, b) = (Input::new(3), Input::new(3));
        let product = [&a, &b].apply(Multiply::new()).unwrap();
        let y = product.apply(Dense::new(2).use_bias(false)).unwrap();
        let model = Model::new([&a, &b], &y).unwrap().seed(1);
        let (x, z) = (numbers((70, 3)), numbers((70, 3)).mapv(|x| x * 2.0));
        let gradients = model.input_gradients([x.view(), z.view()], &[1; 70]).unwrap();
        let kernel = &model.weights()[0].1;
        for (gradient, other) in gradients.iter().zip([&z, &x]) {
            let wanted = Array2::from_shape_fn((70, 3), |(n, i)| other[[n, i]] * kernel[[i, 1]]);
            let wrong = (gradient.clone() - wanted.into_dyn()).mapv(f32::abs);
            assert!(wrong.iter().all(|&wrong| wrong < 1e-6));
        }
    }

    /// Softmax and sigmoid at the end are left out, one in the middle is not.
    #[test]
    fn scores_are_those_before_softmax() {
        let network = |ends: &dyn Fn(Node) -> Node| {
            let x = Input::new(3);
            let y = ends(x.apply(Dense::new(4).activation(Activation::Softmax)).unwrap());
            Model::new(&x, &y).unwrap().seed(5)
        };
        let linear = Dense::new(2);
        let plain = network(&|x| x.apply(linear.clone()).unwrap());
        let x = numbers((2, 3)).into_dyn();
        differences(&plain, &x, &[0, 1]);
        let wanted = plain.input_gradients(&x, &[0, 1]).unwrap();
        for activation in [Activation::Softmax, Activation::Sigmoid] {
            let inside = network(&|x| x.apply(linear.clone().activation(activation)).unwrap());
            let layer = network(&|x| x.apply(linear.clone()).unwrap().apply(activation).unwrap());
            for model in [inside, layer] {
                assert_eq!(model.input_gradients(&x, &[0, 1]).unwrap(), wanted);
            }
        }
        let tanh = network(&|x| x.apply(linear.clone().activation(Activation::Tanh)).unwrap());
        assert_ne!(tanh.input_gradients(&x, &[0, 1]).unwrap(), wanted);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let image = Input::new([4, 4, 1]);
        let y = image.apply(Flatten::new()).unwrap();
        let both = Model::new(&image, [&y, &y.apply(Dense::new(2)).unwrap()]).unwrap();
        let one = Model::new(&image, y.apply(Dense::new(2)).unwrap()).unwrap();
        let x = Array4::<f32>::zeros((2, 4, 4, 1));
        for (model, classes, sentence) in [
            (&both, &[0, 0][..], "the model has 2 outputs; build one with the output to look at"),
            (&one, &[0], "got 2 inputs but 1 class; give one for each sample"),
            (&one, &[1, 2], "the class of sample 1 is 2; the output has 2, counted from 0"),
        ] {
            let error = model.input_gradients(&x, classes).unwrap_err();
            assert_eq!(error.to_string(), format!("input_gradients: {sentence}"));
        }
        let wrong = Array4::<f32>::zeros((2, 3, 4, 1));
        let error = one.input_gradients(&wrong, &[0, 0]).unwrap_err().to_string();
        assert!(error.starts_with("input_gradients: the inputs have the shape (2, 3, 4, 1)"));
    }
}
