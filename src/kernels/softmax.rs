pub(crate) fn softmax(y: &mut [f32], c: usize) {
    for r in y.chunks_exact_mut(c) {
        let m = r.iter().copied().fold(f32::MIN, f32::max);
        let mut s = 0.0;
        for y in r.iter_mut() {
            *y = (*y - m).exp();
            s += *y
        }
        for y in r {
            *y /= s
        }
    }
}
pub(crate) fn softmax_backward(y: &[f32], dy: &mut [f32], c: usize) {
    for (y, d) in y.chunks_exact(c).zip(dy.chunks_exact_mut(c)) {
        let s: f32 = y.iter().zip(d.iter()).map(|(y, d)| y * d).sum();
        for (y, d) in y.iter().zip(d) {
            *d = y * (*d - s)
        }
    }
}
