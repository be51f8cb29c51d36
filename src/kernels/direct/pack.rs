//! Weights in the order in which the register tiles read them.

use super::{Conv, padded_filters, panels, widest_panel};
use crate::kernels::simd::Level;

/// Floats of the packed weights that [`forward`](super::forward::forward) takes.
pub(crate) fn packed_forward_len(level: Level, conv: &Conv) -> usize {
    conv.depth() * padded_filters(level, conv.filters)
}

/// Packs `w (kh, kw, c, f)` panel by panel, `(kh · kw · c, width)` each, zeros in unused lanes.
pub(crate) fn pack_forward(level: Level, conv: &Conv, w: &[f32], packed: &mut [f32]) {
    let (depth, f) = (conv.depth(), conv.filters);
    assert_eq!(w.len(), depth * f);
    assert_eq!(packed.len(), packed_forward_len(level, conv));
    for (first, width) in panels(widest_panel(level), f) {
        let used = width.min(f - first);
        let panel = &mut packed[depth * first..][..depth * width];
        for (k, lanes) in panel.chunks_exact_mut(width).enumerate() {
            lanes[..used].copy_from_slice(&w[k * f + first..][..used]);
            lanes[used..].fill(0.0);
        }
    }
}

/// Floats of the packed weights that [`backward_input`](super::forward::backward_input) takes.
pub(crate) fn packed_backward_len(level: Level, conv: &Conv) -> usize {
    packed_forward_len(level, &conv.turned())
}

/// Packs the weights of the convolution from `dy` to `dx`: `w (kh, kw, c, f)` turned by half a turn
/// and transposed to `(kh, kw, f, c)`.
pub(crate) fn pack_backward(level: Level, conv: &Conv, w: &[f32], packed: &mut [f32]) {
    let [kh, kw] = conv.window.kernel;
    let (c, f) = (conv.channels, conv.filters);
    assert_eq!(w.len(), kh * kw * c * f);
    assert_eq!(packed.len(), packed_backward_len(level, conv));
    for (first, width) in panels(widest_panel(level), c) {
        let used = width.min(c - first);
        let panel = &mut packed[kh * kw * f * first..][..kh * kw * f * width];
        for (tap, taps) in panel.chunks_exact_mut(f * width).enumerate() {
            let w = &w[(kh * kw - 1 - tap) * c * f..][..c * f];
            for (j, lanes) in taps.chunks_exact_mut(width).enumerate() {
                for (lane, w) in lanes.iter_mut().zip(w[first * f..].chunks_exact(f)).take(used) {
                    *lane = w[j];
                }
                lanes[used..].fill(0.0);
            }
        }
    }
}
