//! Training: a compiled model, `fit` and what it returns.

mod backup;
mod callbacks;
mod compiled;
mod evaluation;
mod fit;
mod history;
mod live_bar;
mod objective;
mod penalties;
mod progress;
mod shards;
mod split;
mod tallies;
mod weighting;

pub use compiled::CompiledModel;
pub use fit::Fit;
pub use history::History;
pub use progress::Verbose;
