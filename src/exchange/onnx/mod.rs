//! Models as ONNX files.

use std::path::Path;

use prost::Message;

use self::graph::Graph;
use self::proto::{ModelProto, OperatorSetIdProto};
use crate::error::{Error, ErrorKind, Result};
use crate::files::write_whole;
use crate::model::Model;

mod graph;
mod layers;
mod proto;

/// The version of the operators: the oldest one that has them all (`Resize` of height and width
/// alone), so that as many programs as possible read the file.
const OPSET: i64 = 18;

/// The version of the format that came with it.
const IR_VERSION: i64 = 8;

/// Protocol buffers end at 2 GiB.
const MOST_BYTES: usize = i32::MAX as usize;

impl Model {
    /// Writes the model for [ONNX](https://onnx.ai) Runtime and others, in opset 18. With the feature
    /// `onnx`.
    ///
    /// The exported model takes and gives the same arrays as [`predict`](Model::predict), images as
    /// `(n, height, width, channels)`, for any `n`; it begins with a transposition, since ONNX has the
    /// channels before the pixels. Its inputs and outputs are called as the layers that they are:
    /// `input_layer`, `dense_2`. It is the model in inference form: dropout and random layers are left
    /// out, batch normalisation stays as it is.
    ///
    /// A file that is there stays whole until the new one is complete.
    ///
    /// # Errors
    /// If a layer has no like in ONNX, as those from outside the crate, if the file would have 2 GiB or
    /// more, or if it cannot be written.
    ///
    /// ```
    /// use convnet::prelude::*;
    ///
    /// let image = Input::new([28, 28, 1]);
    /// let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    /// let folder = tempfile::tempdir().unwrap();
    /// let path = folder.path().join("lenet5.onnx");
    /// model.export_onnx(&path)?;
    /// assert!(path.metadata().unwrap().len() > 4 * 61_706);
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn export_onnx(&self, path: impl AsRef<Path>) -> Result<()> {
        let graph = Graph::of(self)
            .map_err(|why| Error::new(ErrorKind::Graph, format!("export_onnx: {why}")))?;
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: env!("CARGO_PKG_NAME").to_string(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        };
        if model.encoded_len() > MOST_BYTES {
            return Err(Error::file(format!(
                "export_onnx: the model takes {} bytes, and an ONNX file at most {MOST_BYTES}; use \
                 smaller layers",
                model.encoded_len()
            )));
        }
        write_whole("export_onnx", path.as_ref(), &model.encode_to_vec())
    }
}
