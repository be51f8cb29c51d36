//! Layers as they are written to a file and read from one.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Layer, LayerSpec};

/// What a layer was given, as JSON: `{"rate": 0.25}`.
pub type Config = serde_json::Value;

/// The configuration of a layer that derives serde's `Serialize`, for [`Layer::config`].
///
/// # Errors
/// If the layer's own `Serialize` fails.
pub fn config_of(layer: &impl Serialize) -> Result<Config, String> {
    serde_json::to_value(layer).map_err(|error| error.to_string())
}

type Constructor = Box<dyn Fn(Config) -> Result<LayerSpec, String> + Send + Sync>;

/// Layers from outside the crate, for [`Model::load_with`](crate::Model::load_with) to find by the names
/// of their classes. Keras: `custom_objects`.
///
/// ```
/// use convnet::Shape;
/// use convnet::layers::{Backward, Config, CustomObjects, Infer, config_of};
/// use convnet::prelude::*;
/// use ndarray::array;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Times {
///     factor: f32,
/// }
///
/// impl Layer for Times {
///     fn class_name(&self) -> &'static str {
///         "Times"
///     }
///     fn config(&self) -> Result<Config, String> {
///         config_of(self)
///     }
///     fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
///         Ok(inputs[0].clone())
///     }
///     fn infer(&self, pass: Infer<'_>) {
///         pass.y.iter_mut().zip(pass.x.get(0)).for_each(|(y, x)| *y = self.factor * x);
///     }
///     fn backward(&self, mut pass: Backward<'_>) {
///         let Some(dx) = pass.dx.get(0) else { return };
///         dx.iter_mut().zip(&*pass.dy).for_each(|(dx, dy)| *dx = self.factor * dy);
///     }
/// }
///
/// let x = Input::new(1);
/// let model = Model::new(&x, x.apply(Times { factor: 3.0 })?)?;
/// let path = tempfile::tempdir().unwrap().keep().join("model.safetensors");
/// model.save(&path)?;
/// let custom = CustomObjects::new().layer::<Times>("Times");
/// let loaded = Model::load_with(&path, &custom)?;
/// assert_eq!(loaded.predict(&array![[2.0]])?, array![[6.0]].into_dyn());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Default)]
pub struct CustomObjects {
    layers: HashMap<String, Constructor>,
}

impl CustomObjects {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the layer whose [`class_name`](Layer::class_name) is this. It takes the place of one of the
    /// crate.
    pub fn layer<L: Layer + DeserializeOwned + 'static>(
        mut self,
        class_name: impl Into<String>,
    ) -> Self {
        self.layers.insert(class_name.into(), Box::new(from_config::<L>));
        self
    }

    /// The layer of a class.
    pub(crate) fn build(&self, class: &str, config: Config) -> Result<LayerSpec, String> {
        let built = match self.layers.get(class) {
            Some(constructor) => Some(constructor(config)),
            None => super::built_in(class, config),
        };
        let built = built.ok_or(
            "no class of that name is known; give load_with its layer, or use a newer version if it \
             is one of this crate",
        )?;
        built.map_err(|why| format!("its config is wrong: {why}"))
    }
}

impl fmt::Debug for CustomObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.layers.keys().collect();
        names.sort();
        f.debug_tuple("CustomObjects").field(&names).finish()
    }
}

/// The layer that was written so.
pub(super) fn from_config<L: Layer + DeserializeOwned + 'static>(
    config: Config,
) -> Result<LayerSpec, String> {
    let layer = serde_json::from_value::<L>(config);
    layer.map(LayerSpec::from).map_err(|error| error.to_string())
}

/// Exports the layers of the crate, and finds them by the names of their classes.
macro_rules! layers {
    ($($class:literal = $module:ident::$layer:ident),* $(,)?) => {
        $(pub use $module::$layer;)*

        /// The layer of a class of this crate, if there is such a class.
        fn built_in(class: &str, config: Config) -> Option<Result<LayerSpec, String>> {
            match class {
                $($class => Some(config::from_config::<$layer>(config)),)*
                _ => None,
            }
        }

        /// The names of all classes.
        #[cfg(test)]
        const CLASSES: &[&str] = &[$($class),*];
    };
}
pub(super) use layers;

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use crate::initializers::Initializer;
    use crate::regularizers::Regularizer;

    /// A layer of every class, none with its defaults alone where there are others.
    fn all() -> Vec<Box<dyn Layer>> {
        let l2 = Regularizer::L2(1e-3);
        let normal = Initializer::RandomNormal { mean: 0.1, stddev: 0.3 };
        vec![
            Box::new(Activation::GeluApproximate),
            Box::new(Add::new()),
            Box::new(Average::new()),
            Box::new(AveragePooling2D::new((2, 3)).padding(Padding::Same)),
            Box::new(BatchNormalization::new().momentum(0.9).epsilon(1e-5)),
            Box::new(Concatenate::new()),
            Box::new(
                Conv2D::new(6, (3, 5))
                    .strides((2, 1))
                    .padding(Padding::Same)
                    .groups(2)
                    .kernel_initializer(normal)
                    .kernel_regularizer(l2)
                    .exact(true),
            ),
            Box::new(Dense::new(7).activation(Activation::Tanh).bias_regularizer(l2)),
            Box::new(DepthwiseConv2D::new(3).depth_multiplier(2).dilation_rate(2)),
            Box::new(Dropout::new(0.1)),
            Box::new(Flatten::new()),
            Box::new(GlobalAveragePooling2D::new().keepdims(true)),
            Box::new(GlobalMaxPool2D::new().keepdims(true)),
            Box::new(LeakyReLU::new().negative_slope(0.017)),
            Box::new(LocalResponseNormalization::new()),
            Box::new(MaxPool2D::new(3).strides(2)),
            Box::new(Multiply::new()),
            Box::new(RandomErasing::new().fill_value(0.3)),
            Box::new(RandomFlip::new().mode(FlipMode::Vertical)),
            Box::new(RandomRotation::new(0.1).fill_mode(FillMode::Wrap)),
            Box::new(RandomTranslation::new(0.1, (-0.2, 0.3))),
            Box::new(ReLU::new().max_value(6.1)),
            Box::new(Rescaling::new(1.0 / 255.0).offset(0.1)),
            Box::new(Reshape::new([-1, 3])),
            Box::new(Resizing::new(3, 4).interpolation(Interpolation::Nearest)),
            Box::new(SeparableConv2D::new(3, 2).use_bias(false)),
            Box::new(ZeroPadding2D::new(((0, 1), (2, 3)))),
        ]
    }

    #[test]
    fn every_layer_comes_back_from_its_text() {
        let layers = all();
        assert!(layers.iter().map(|layer| layer.class_name()).eq(CLASSES.iter().copied()));
        for layer in layers {
            let text = layer.config().unwrap().to_string();
            let config = serde_json::from_str(&text).unwrap();
            let back = CustomObjects::new().build(layer.class_name(), config).unwrap();
            assert_eq!(format!("{:?}", back.layer), format!("{layer:?}"), "{text}");
        }
    }

    #[test]
    fn setters_change_what_they_are_named_after_and_nothing_else() {
        macro_rules! setters {
            ($new:expr; $($setter:ident($value:expr)),* $(,)?) => {$(
                let [before, after] = [$new, $new.$setter($value)].map(|layer| layer.config());
                let (before, after) = (before.unwrap(), after.unwrap());
                let entries = after.as_object().unwrap().iter();
                let changed = entries.filter(|(name, value)| before[name] != **value);
                let changed: Vec<_> = changed.map(|(name, _)| name).collect();
                assert_eq!(changed, [stringify!($setter)], "{}", $new.class_name());
            )*};
        }
        use Activation::Tanh;
        use Padding::Same;
        let (ones, l1) = (Initializer::Ones, Regularizer::L1(0.5));
        setters!(AveragePooling2D::new(2); strides(3), padding(Same));
        setters!(MaxPool2D::new(2); strides(3), padding(Same));
        setters!(BatchNormalization::new(); momentum(0.5), epsilon(0.5));
        setters!(
            Conv2D::new(4, 3);
            strides(2), padding(Same), dilation_rate(2), groups(2), activation(Tanh),
            use_bias(false), kernel_initializer(ones), bias_initializer(ones),
            kernel_regularizer(l1), bias_regularizer(l1), exact(true),
        );
        setters!(
            Dense::new(4);
            activation(Tanh), use_bias(false), kernel_initializer(ones), bias_initializer(ones),
            kernel_regularizer(l1), bias_regularizer(l1),
        );
        setters!(
            DepthwiseConv2D::new(3);
            strides(2), padding(Same), depth_multiplier(2), dilation_rate(2), activation(Tanh),
            use_bias(false), depthwise_initializer(ones), bias_initializer(ones),
            depthwise_regularizer(l1), bias_regularizer(l1),
        );
        setters!(
            SeparableConv2D::new(4, 3);
            strides(2), padding(Same), depth_multiplier(2), dilation_rate(2), activation(Tanh),
            use_bias(false), depthwise_initializer(ones), pointwise_initializer(ones),
            bias_initializer(ones), depthwise_regularizer(l1), pointwise_regularizer(l1),
            bias_regularizer(l1),
        );
        setters!(GlobalAveragePooling2D::new(); keepdims(true));
        setters!(GlobalMaxPool2D::new(); keepdims(true));
        setters!(LeakyReLU::new(); negative_slope(0.5));
        setters!(LocalResponseNormalization::new(); n(3), k(0.5), alpha(0.5), beta(0.5));
        setters!(
            RandomErasing::new();
            factor(0.5), scale(0.5), fill_value(0.5), value_range((0.0, 0.5)),
        );
        setters!(RandomFlip::new(); mode(FlipMode::Vertical));
        setters!(
            RandomRotation::new(0.1);
            fill_mode(FillMode::Wrap), interpolation(Interpolation::Nearest), fill_value(0.5),
        );
        setters!(
            RandomTranslation::new(0.1, 0.1);
            fill_mode(FillMode::Wrap), interpolation(Interpolation::Nearest), fill_value(0.5),
        );
        setters!(ReLU::new(); max_value(0.5), negative_slope(0.5), threshold(0.5));
        setters!(Rescaling::new(0.5); offset(0.5));
        setters!(Resizing::new(2, 2); interpolation(Interpolation::Nearest));
    }

    #[test]
    fn what_is_not_a_layer_is_refused() {
        let refused = |class: &str, config: &str, sentence: &str| {
            let config = serde_json::from_str(config).unwrap();
            let error = CustomObjects::new().build(class, config).unwrap_err();
            assert_eq!(error, sentence);
        };
        refused(
            "PReLU",
            "{}",
            "no class of that name is known; give load_with its layer, or use a newer version if it \
             is one of this crate",
        );
        refused(
            "Dropout",
            r#"{"rate": 0.5, "noise_shape": null}"#,
            "its config is wrong: unknown field `noise_shape`, expected `rate`",
        );
        refused("Dropout", "{}", "its config is wrong: missing field `rate`");
        refused(
            "Flatten",
            r#"{"x": 1}"#,
            "its config is wrong: unknown field `x`, there are no fields",
        );
    }

    #[test]
    fn a_layer_of_ones_own_takes_the_place_of_another() {
        let custom = CustomObjects::new().layer::<Flatten>("Dropout");
        let built = custom.build("Dropout", serde_json::json!({})).unwrap();
        assert_eq!(built.layer.class_name(), "Flatten");
        assert_eq!(format!("{custom:?}"), r#"CustomObjects(["Dropout"])"#);
    }
}
