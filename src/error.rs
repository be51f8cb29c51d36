//! One error type: a sentence that says who, what it got, what it wanted and what to do.

use std::fmt;

/// Whose mistake an [`Error`] is, for programs that treat them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A layer is misconfigured or cannot take the input it was applied to.
    Layer,
    /// The graph of layers is not a model: disconnected, empty, or with a name used twice.
    Graph,
    /// Arrays handed in do not fit: shape, length, labels out of range, NaN.
    Data,
    /// A setting of the training makes no sense, or a callback could not do its work.
    Training,
    /// The loss became NaN or infinite.
    Diverged,
    /// A callback has interrupted the training, for it to be resumed.
    Interrupted,
    /// A file or a download is missing, unreadable, truncated or foreign.
    File,
}

/// What went wrong, as a sentence. `Debug` prints the same as `Display`, so that `?` out of `main`
/// reads well.
///
/// ```
/// use convnet::prelude::*;
///
/// let error = Input::new([3, 3, 8]).apply(Conv2D::new(16, 5)).unwrap_err();
/// assert_eq!(error.kind(), convnet::ErrorKind::Layer);
/// assert!(error.to_string().starts_with("conv2d: cannot take an input of shape (3, 3, 8)"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of a kind with its sentence, for callbacks, losses and datasets of one's own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Whose mistake it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn layer(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Layer, message)
    }

    pub(crate) fn graph(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Graph, message)
    }

    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    pub(crate) fn training(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Training, message)
    }

    pub(crate) fn file(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::File, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// The result of everything in this crate that a user can get wrong.
pub type Result<T, E = Error> = std::result::Result<T, E>;
