use convnet::prelude::*;
use convnet::preprocessing::Resized;

use super::fixtures::{error, fixture, list, tensor};

#[test]
fn images_of_another_size() {
    let cases = fixture("resized");
    assert_eq!(list(&cases).len(), 6);
    for case in list(&cases) {
        let (images, expected) = (tensor(&case["images"]), tensor(&case["resized"]));
        let [height, width] = [0, 1].map(|axis| case["size"][axis].as_u64().unwrap() as usize);
        let antialias = case["antialias"].as_bool().unwrap();
        let resized = Resized::new(&images, (height, width)).unwrap().antialias(antialias);
        let size = resized.shape().size();
        let mut found = vec![0.0; images.shape()[0] * size];
        for (index, sample) in found.chunks_exact_mut(size).enumerate() {
            resized.load(index, None, sample).unwrap();
        }
        let (error, shape) = (error(&found, &expected), images.shape());
        assert!(error <= 1e-6, "{shape:?} to {height}×{width}: off by {error:e}");
    }
}
