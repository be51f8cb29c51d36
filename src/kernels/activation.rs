pub(crate) fn add_bias(y: &mut [f32], b: &[f32]) {
    for r in y.chunks_exact_mut(b.len()) {
        for (y, b) in r.iter_mut().zip(b) {
            *y += b
        }
    }
}
pub(crate) fn sum_rows(dy: &[f32], db: &mut [f32]) {
    db.fill(0.0);
    for r in dy.chunks_exact(db.len()) {
        for (d, y) in db.iter_mut().zip(r) {
            *d += y
        }
    }
}
pub(crate) fn relu(y: &mut [f32]) {
    for y in y {
        *y = y.max(0.0)
    }
}
pub(crate) fn tanh(y: &mut [f32]) {
    for y in y {
        *y = y.tanh()
    }
}
pub(crate) fn sigmoid(y: &mut [f32]) {
    for y in y {
        *y = 1.0 / (1.0 + (-*y).exp())
    }
}
pub(crate) fn relu_backward(y: &[f32], dy: &mut [f32]) {
    for (y, d) in y.iter().zip(dy) {
        if *y <= 0.0 {
            *d = 0.0
        }
    }
}
pub(crate) fn tanh_backward(y: &[f32], dy: &mut [f32]) {
    for (y, d) in y.iter().zip(dy) {
        *d *= 1.0 - y * y
    }
}
pub(crate) fn sigmoid_backward(y: &[f32], dy: &mut [f32]) {
    for (y, d) in y.iter().zip(dy) {
        *d *= y * (1.0 - y)
    }
}
