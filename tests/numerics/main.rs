//! Every layer, loss and optimizer compared with its definition, computed plainly in `f64`, over random
//! sizes and numbers: inference, training, the gradients to inputs and to weights.
//!
//! **The unit** is what rounding a number of size 1 to `f32` may cost, 2⁻²⁴ ≈ 6e-8. What is computed as a
//! sum of products may be off by `4 + 2·√terms` units of `Σ |a|·|b|`, so the bound knows how large the
//! numbers were before they cancelled; the reference carries that size along with each value
//! ([`reference::Number`]). A product too many or too few is off by a `terms`-th of the sum, which is
//! hundreds of times more. Where a layer is something else the bound stands beside its test. Winograd's
//! way has a bound of its own, 1.2e-5 of the largest number of the output.
//!
//! By default the same cases are tried every time. `PROPTEST_CASES=2000 cargo test --release --test
//! numerics -- --nocapture` tries so many others for each test, and prints the largest errors seen.

mod bench;
mod convolutions;
mod elementwise;
mod extremes;
mod losses;
mod normalisation;
mod numbers;
mod optimizers;
mod pools;
mod reference;
mod rows;
mod trying;
