"""The networks of the round trip, in Keras and in PyTorch; examples/round_trip has them in convnet."""

import keras
import torch
from keras import layers as L
from torch import nn
from torch.nn import functional as F


def keras_lenet5():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(6, 5, padding="same", activation="relu"),
            L.MaxPooling2D(2),
            L.Conv2D(16, 5, activation="relu"),
            L.MaxPooling2D(2),
            L.Flatten(),
            L.Dense(120, activation="relu"),
            L.Dense(84, activation="relu"),
            L.Dense(10, activation="softmax"),
        ]
    )


def keras_fashion_cnn():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(32, 3, padding="same", activation="relu"),
            L.BatchNormalization(),
            L.MaxPooling2D(2),
            L.Dropout(0.25),
            L.Flatten(),
            L.Dense(512, activation="relu"),
            L.BatchNormalization(),
            L.Dense(10, activation="softmax"),
        ]
    )


def keras_small():
    image = keras.Input((8, 6, 2), name="image")
    x = L.Conv2D(4, 3, padding="same", activation="relu", groups=2, name="conv")(image)
    x = L.BatchNormalization(name="norm")(x)
    x = L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise")(x)
    x = L.SeparableConv2D(6, 3, activation="tanh", name="separable")(x)
    x = L.MaxPooling2D(2)(x)
    # Made in another order than in convnet, so that only the names tell which is which.
    right = L.Dense(5, name="right")(L.GlobalAveragePooling2D()(x))
    flat = L.BatchNormalization(name="flat_norm")(L.Flatten()(x))
    left = L.Dense(5, activation="relu", name="left")(flat)
    total = L.Dropout(0.5)(L.Add()([left, right]))
    head = L.Dense(3, activation="softmax", name="head")(L.Concatenate()([total, flat]))
    return keras.Model(image, head)


def keras_plain():
    return keras.Sequential(
        [
            keras.Input((10, 10, 1)),
            L.Conv2D(3, 3, padding="same", activation="relu"),
            L.MaxPooling2D(2),
            L.Conv2D(4, 2, activation="relu"),
            L.Flatten(),
            L.Dense(6, activation="relu"),
            L.Dense(4, activation="softmax"),
        ]
    )


def keras_every_layer():
    """Every layer that has its like in convnet, with many settings."""
    image = keras.Input((9, 8, 4))
    conv = L.Conv2D(
        4, (2, 4), padding="same", activation="elu", kernel_initializer="he_normal", kernel_regularizer="l2"
    )(image)
    normal = L.BatchNormalization(epsilon=0.01, axis=3)(image)
    rows = L.Reshape((12, -1))(image)
    outputs = [
        L.Conv2D(6, 3, padding="same", groups=2, activation="gelu", trainable=False)(conv),
        L.Conv2D(3, 2, dilation_rate=(2, 1), padding="same", use_bias=False)(image),
        L.Conv2D(
            5,
            (3, 2),
            strides=2,
            activation="softmax",
            kernel_initializer=keras.initializers.RandomUniform(-0.1, 0.1),
            bias_initializer=keras.initializers.Constant(0.25),
            bias_regularizer=keras.regularizers.L1L2(0.1, 0.2),
        )(image),
        L.DepthwiseConv2D(3, depth_multiplier=2, strides=2, padding="same", activation="silu")(image),
        L.SeparableConv2D(5, (3, 2), depth_multiplier=2, padding="same", activation="relu6")(image),
        L.MaxPooling2D(3, 2, padding="same")(conv),
        L.AveragePooling2D((2, 3))(conv),
        L.GlobalAveragePooling2D()(normal),
        L.GlobalMaxPooling2D(keepdims=True)(conv),
        L.Rescaling(0.5, -0.25)(normal),
        L.ZeroPadding2D(((0, 1), (2, 3)))(image),
        L.Resizing(13, 5)(image),
        L.Resizing(6, 17, interpolation="nearest")(image),
        L.Dense(5, activation="softmax")(rows),
        L.Activation("leaky_relu")(L.Flatten()(rows)),
        L.Dense(7, activation="sigmoid", kernel_regularizer="l1")(L.Flatten()(conv)),
        L.Add()([image, conv, normal]),
        L.Multiply()([conv, normal]),
        L.Average()([image, conv]),
        L.Concatenate(axis=3)([conv, normal]),
        L.LeakyReLU(0.4)(image),
        L.ReLU(0.75, 0.1, 0.25)(conv),
        L.Dropout(0.5, seed=7)(
            L.RandomErasing()(
                L.RandomRotation(0.1)(
                    L.RandomTranslation(0.1, (0.0, 0.2), fill_mode="constant")(L.RandomFlip("horizontal")(image))
                )
            )
        ),
    ]
    return keras.Model(image, outputs)


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return F.softmax(self.fc3(F.relu(self.fc2(F.relu(self.fc1(x))))), 1)


class FashionCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32, eps=1e-3)
        self.fc1, self.norm2 = nn.Linear(32 * 14 * 14, 512), nn.BatchNorm1d(512, eps=1e-3)
        self.fc2 = nn.Linear(512, 10)

    def forward(self, x):
        x = F.max_pool2d(self.norm1(F.relu(self.conv1(x))), 2).flatten(1)
        return F.softmax(self.fc2(self.norm2(F.relu(self.fc1(x)))), 1)


class Separable(nn.Module):
    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, size, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4, eps=1e-3)
        self.depthwise = nn.Conv2d(4, 8, 3, padding=1, groups=4)
        self.separable = Separable(8, 6, 3)
        self.flat_norm = nn.BatchNorm1d(36, eps=1e-3)
        self.left, self.right, self.head = nn.Linear(36, 5), nn.Linear(6, 5), nn.Linear(41, 3)

    def forward(self, x):
        x = torch.tanh(self.separable(self.depthwise(self.norm(F.relu(self.conv(x))))))
        x = F.max_pool2d(x, 2)
        flat = self.flat_norm(x.flatten(1))
        total = F.relu(self.left(flat)) + self.right(x.mean((2, 3)))
        return F.softmax(self.head(torch.cat([total, flat], 1)), 1)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 2)
        self.fc1, self.fc2 = nn.Linear(64, 6), nn.Linear(6, 4)

    def forward(self, x):
        x = F.relu(self.conv2(F.max_pool2d(F.relu(self.conv1(x)), 2))).flatten(1)
        return F.softmax(self.fc2(F.relu(self.fc1(x))), 1)


KERAS = {"lenet5": keras_lenet5, "fashion_cnn": keras_fashion_cnn, "small": keras_small, "plain": keras_plain}
TORCH = {"lenet5": LeNet5, "fashion_cnn": FashionCnn, "small": Small, "plain": Plain}
