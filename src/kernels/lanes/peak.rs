//! The most multiplications and additions this machine does, for the benches.

use std::time::Instant;

use super::LANES;
use crate::kernels::parallel::inside_pool;
use crate::kernels::simd::level;
use crate::kernels::vector::{Vector, with_vectors};

/// Sums that do not wait for each other: more than the 8 to 10 that hide the latency of two FMA units
/// (4 to 5 cycles), and few enough to stay in the 16 registers of AVX2.
const CHAINS: usize = 12;

/// Steps of all chains in a round, which takes about 2 ms: a hundred times what it takes to start
/// the threads, and short enough to find one that no other program disturbs.
const STEPS: usize = 600_000;

/// Rounds, of which the fastest counts: 0.4 s of them.
const ROUNDS: usize = 200;

/// Floating-point operations a second on all threads of the pool, measured at the level in use.
pub fn peak() -> f64 {
    let round = || {
        let start = Instant::now();
        rayon::broadcast(|_| {
            let mut sums = [[1.0; LANES]; CHAINS];
            chains(level(), STEPS, sums.as_flattened_mut());
            std::hint::black_box(sums);
        });
        start.elapsed().as_secs_f64()
    };
    let fastest = inside_pool(|| (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min));
    (2 * LANES * CHAINS * STEPS * rayon::current_num_threads()) as f64 / fastest
}

with_vectors! {
    /// `sum = 0.5 · sum + 1` in every lane, `steps` times.
    fn chains(steps: usize, sums: &mut [f32]) = chains_body::<V, P>
}

#[inline(always)]
fn chains_body<V: Vector, const P: usize>(steps: usize, sums: &mut [f32]) {
    let (half, one) = (V::splat(0.5), V::splat(1.0));
    for sums in sums.chunks_exact_mut(CHAINS * V::LANES) {
        let mut chains = [half; CHAINS];
        for (chain, sums) in chains.iter_mut().zip(sums.chunks_exact(V::LANES)) {
            *chain = V::load(sums);
        }
        for _ in 0..steps {
            for chain in &mut chains {
                *chain = one.plus_product(*chain, half);
            }
        }
        for (chain, sums) in chains.into_iter().zip(sums.chunks_exact_mut(V::LANES)) {
            chain.store(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::Level;

    #[test]
    fn every_sum_takes_every_step() {
        for level in Level::all() {
            let mut sums = [[1.0; LANES]; CHAINS];
            chains(level, 2, sums.as_flattened_mut());
            assert_eq!(sums, [[1.75; LANES]; CHAINS], "{level:?}");
        }
    }
}
