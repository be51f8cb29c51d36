//! What most programs need: `use convnet::prelude::*;`.

#[cfg(feature = "tensorboard")]
pub use crate::callbacks::TensorBoard;
pub use crate::callbacks::{
    BackupAndRestore, CSVLogger, Callback, EarlyStopping, LearningRateScheduler, Mode,
    ModelCheckpoint, Monitor, ReduceLROnPlateau, TerminateOnNaN,
};
pub use crate::datasets;
pub use crate::graph::{Input, Node, Nodes};
pub use crate::initializers::Initializer;
pub use crate::labels::Weighted;
pub use crate::layers::Activation::{
    Elu, Gelu, GeluApproximate, LeakyRelu, Linear, Relu, Relu6, Sigmoid, Silu, Softmax, Tanh,
};
pub use crate::layers::Padding::{Same, Valid};
pub use crate::layers::{
    Activation, Add, Average, AveragePooling2D, BatchNormalization, Concatenate, Conv2D,
    CustomObjects, Dense, DepthwiseConv2D, Dropout, Flatten, GlobalAveragePooling2D,
    GlobalMaxPool2D, Layer, LeakyReLU, LocalResponseNormalization, MaxPool2D, Multiply,
    RandomErasing, RandomFlip, RandomRotation, RandomTranslation, ReLU, Rescaling, Reshape,
    Resizing, SeparableConv2D, ZeroPadding2D,
};
pub use crate::losses::{
    BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError, SparseCategoricalCrossentropy,
};
pub use crate::metrics::{
    AUC, Accuracy, BinaryAccuracy, F1Score, Metric, Precision, Recall, TopKCategoricalAccuracy,
    accuracy_score, classification_report, confusion_matrix,
};
pub use crate::model::Model;
pub use crate::models;
pub use crate::optimizers::{
    Adam, AdamW, CosineDecay, ExponentialDecay, Optimizer, PiecewiseConstantDecay, RMSprop, SGD,
};
pub use crate::preprocessing::{MinMax, Standardize, to_categorical};
pub use crate::regularizers::Regularizer::{self, L1, L1L2, L2};
pub use crate::samples::Samples;
pub use crate::training::{CompiledModel, Fit, History, Verbose};
