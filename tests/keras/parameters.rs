use convnet::layers::LayerSpec;
use convnet::prelude::*;

/// LeNet-5 on several images and with its first convolution padded or not has as many parameters as
/// in Keras.
#[test]
fn of_lenet_on_other_images() {
    for (shape, padding, count) in
        [([28, 28, 1], Same, 61_706), ([28, 28, 1], Valid, 44_426), ([32, 32, 3], Valid, 62_006)]
    {
        let image = Input::new(shape);
        let mut node = Node::from(&image);
        let dense = |units| Dense::new(units).into();
        let layers: [LayerSpec; 8] = [
            Conv2D::new(6, 5).padding(padding).into(),
            MaxPool2D::new(2).into(),
            Conv2D::new(16, 5).into(),
            MaxPool2D::new(2).into(),
            Flatten::new().into(),
            dense(120),
            dense(84),
            dense(10),
        ];
        for layer in layers {
            node = node.apply(layer).unwrap();
        }
        assert_eq!(Model::new(&image, &node).unwrap().count_params(), count);
    }
}
