"""Times PyTorch and Keras on the work that `examples/throughput.rs` times, and prints the same rows.

    python peers.py step torch lenet5 --batch 32 --threads 2
"""
import argparse
import copy
import gzip
import os
import pathlib
import statistics
import time

import numpy as np

def normal(layer):
    return [layer, ("norm",), ("relu",)]


# Each network as a list of layers: filters, kernel, stride and padding of a convolution; size and
# stride of a pool; units of a dense layer; rate of dropout. What is not the last has ReLU. Convolutions that
# are "bare" have neither bias nor ReLU, with filters (but for those of single channels), kernel and stride; a
# "block" is two of them around a shortcut.
NETWORKS = {
    "lenet5": ((28, 28, 1), [
        ("conv", 6, 5, 1, "same"), ("pool", 2, 2), ("conv", 16, 5, 1, "valid"), ("pool", 2, 2), ("flatten",),
        ("dense", 120), ("dense", 84), ("scores", 10)]),
    "fashion_cnn": ((28, 28, 1), [
        ("conv", 32, 3, 1, "same"), ("norm",), ("pool", 2, 2), ("dropout", 0.25), ("flatten",),
        ("dense", 512), ("norm",), ("scores", 10)]),
    "alexnet": ((227, 227, 3), [
        ("conv", 96, 11, 4, "valid"), ("pool", 3, 2), ("conv", 256, 5, 1, "same"), ("pool", 3, 2),
        ("conv", 384, 3, 1, "same"), ("conv", 384, 3, 1, "same"), ("conv", 256, 3, 1, "same"), ("pool", 3, 2),
        ("flatten",), ("dense", 4096), ("dropout", 0.5), ("dense", 4096), ("dropout", 0.5), ("scores", 1000)]),
    "vgg": ((32, 32, 3), [
        *(layer for filters in (32, 64, 128) for layer in
          [*normal(("bare", filters, 3, 1)), *normal(("bare", filters, 3, 1)), ("pool", 2, 2)]),
        ("flatten",), ("dense", 128), ("scores", 10)]),
    "resnet20": ((32, 32, 3), [
        *normal(("bare", 16, 3, 1)),
        *(("block", filters, stride if first else 1) for filters, stride in ((16, 1), (32, 2), (64, 2))
          for first in (True, False, False)),
        ("mean",), ("scores", 10)]),
    "mobilenet": ((32, 32, 3), [
        *normal(("bare", 32, 3, 1)),
        *(layer for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)) for layer in
          [*normal(("depthwise", 3, stride)), *normal(("bare", filters, 1, 1))]),
        ("mean",), ("scores", 10)]),
}


def torch_network(name):
    """Lazy layers find out their inputs; `channels_last` is the faster layout on a CPU."""
    import torch
    from torch import nn

    class LazyDepthwise(nn.LazyConv2d):
        """One filter for each of the channels, of which there are as many as there turn out to be."""
        def initialize_parameters(self, x):
            self.out_channels = self.groups = x.shape[1]
            super().initialize_parameters(x)

    class Block(nn.Module):
        def __init__(self, filters, stride):
            super().__init__()
            specs = [*normal(("bare", filters, 3, stride)), ("bare", filters, 3, 1), ("norm",)]
            self.body = nn.Sequential(*sum((layers(*spec) for spec in specs), []))
            shortcut = [("bare", filters, 1, stride), ("norm",)] if stride > 1 else []
            self.shortcut = nn.Sequential(*sum((layers(*spec) for spec in shortcut), []))

        def forward(self, x):
            return torch.relu(self.body(x) + self.shortcut(x))

    def layers(kind, *args):
        if kind == "bare":
            filters, kernel, stride = args
            return [nn.LazyConv2d(filters, kernel, stride, kernel // 2, bias=False)]
        if kind == "depthwise":
            kernel, stride = args
            return [LazyDepthwise(1, kernel, stride, kernel // 2, bias=False)]
        if kind == "mean":
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if kind == "conv":
            filters, kernel, stride, padding = args
            return [nn.LazyConv2d(filters, kernel, stride, kernel // 2 if padding == "same" else 0), nn.ReLU()]
        if kind == "dense":
            return [nn.LazyLinear(args[0]), nn.ReLU()]
        if kind == "norm":
            norm = nn.LazyBatchNorm1d if flat else nn.LazyBatchNorm2d
            return [norm(eps=1e-3, momentum=0.01)]
        return [{"pool": nn.MaxPool2d, "dropout": nn.Dropout, "flatten": nn.Flatten, "scores": nn.LazyLinear,
                 "relu": nn.ReLU, "block": Block}[kind](*args)]

    shape, specs = NETWORKS[name]
    modules, flat = [], False
    for spec in specs:
        flat = flat or spec[0] == "flatten"
        modules += layers(*spec)
    network = nn.Sequential(*modules)
    with torch.no_grad():
        network.eval()(torch.zeros(1, shape[2], *shape[:2]))
    return network.train().to(memory_format=torch.channels_last)


def torch_images(images):
    import torch
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(memory_format=torch.channels_last)


def keras_network(name, size=None, classes=None, learning_rate=0.001):
    """With `size` for grey images of 28 pixels, which it resizes; with `classes` for so many of them."""
    import keras
    from keras import layers
    def block(filters, stride):
        def apply(x):
            y = x
            for spec in [*normal(("bare", filters, 3, stride)), ("bare", filters, 3, 1), ("norm",)]:
                y = make[spec[0]](*spec[1:])(y)
            for spec in [("bare", filters, 1, stride), ("norm",)] if stride > 1 else []:
                x = make[spec[0]](*spec[1:])(x)
            return layers.ReLU()(layers.Add()([x, y]))
        return apply

    make = {
        "bare": lambda f, k, s: layers.Conv2D(f, k, s, "same", use_bias=False),
        "depthwise": lambda k, s: layers.DepthwiseConv2D(k, s, "same", use_bias=False),
        "relu": layers.ReLU, "mean": layers.GlobalAveragePooling2D, "block": block,
        "conv": lambda f, k, s, p: layers.Conv2D(f, k, s, p, activation="relu"),
        "pool": layers.MaxPool2D, "dropout": layers.Dropout, "flatten": layers.Flatten,
        "norm": layers.BatchNormalization,
        "dense": lambda units: layers.Dense(units, activation="relu"),
        "scores": lambda units: layers.Dense(units, activation="softmax"),
    }
    shape, specs = NETWORKS[name]
    x = image = keras.Input((28, 28, 1) if size else shape)
    if size:
        x = layers.Resizing(size, size)(x)
    for kind, *args in specs[:-1] + [("scores", classes)] if classes else specs:
        x = make[kind](*args)(x)
    network = keras.Model(image, x)
    network.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


def median_seconds(call, budget):
    """As in `throughput`: the median of five groups that take about `budget` seconds each."""
    def timed(repeats):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats
    timed(2)
    repeats = max(1, int(budget / timed(1)))
    return statistics.median(timed(repeats) for _ in range(5))


def torch_trainer(network):
    """One step on images and labels."""
    import torch
    adam = torch.optim.Adam(network.parameters(), fused=True)

    def step(x, y):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        adam.step()
    return step


def samples(o, n):
    shape, specs = NETWORKS[o.model]
    random = np.random.default_rng(1)
    return random.random((n, *shape), np.float32), random.integers(0, specs[-1][1], n)


def step(o):
    if o.system == "torch":
        import torch
        x, y = samples(o, o.batch)
        x, y, train = torch_images(x), torch.from_numpy(y), torch_trainer(torch_network(o.model))
        seconds = median_seconds(lambda: train(x, y), 2.0)
    else:
        # Keras' own loop: a step alone would be measured with the cost of entering it.
        steps = {"lenet5": 400, "fashion_cnn": 60, "alexnet": 3}.get(o.model, 20)
        x, y = samples(o, o.batch * steps)
        network = keras_network(o.model)
        seconds = median_seconds(lambda: network.fit(x, y, batch_size=o.batch, verbose=0), 2.0) / steps
    return [("step", o.batch / seconds, "images/s")]


def infer(o):
    x, _ = samples(o, o.batch)
    if o.system == "torch":
        import torch
        network, x = torch_network(o.model).eval(), torch_images(x)
        with torch.inference_mode():
            seconds = median_seconds(lambda: network(x), 0.5)
    else:
        import tensorflow as tf
        network, x = keras_network(o.model), tf.constant(x)
        call = tf.function(lambda x: network(x, training=False))
        seconds = median_seconds(lambda: call(x), 0.5)
    return [("infer", seconds * 1e6, "us")]


def conv(o):
    """2 images of 320 x 320 pixels and 3 channels, 16 filters of 3 x 3: `large image` of `cargo bench conv`."""
    if o.system == "keras":
        raise SystemExit("peers.py: conv times torch alone")
    import torch
    n, size, channels, filters, kernel = 2, 320, 3, 16, 3
    o.model, o.batch = "large image", n
    layer = torch.nn.Conv2d(channels, filters, kernel, padding=1).to(memory_format=torch.channels_last)
    random = np.random.default_rng(1)
    x, dy = (torch_images(random.random((n, size, size, c), np.float32)) for c in (channels, filters))

    def backward(wanted):
        return torch.ops.aten.convolution_backward(
            dy, x, layer.weight, [filters], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)
    flops = 2 * n * size**2 * filters * kernel**2 * channels
    with torch.no_grad():
        return [(f"conv.{what}", flops / median_seconds(call, 0.5) / 1e9, "GFLOP/s") for what, call in [
            ("forward", lambda: layer(x)),
            ("backward_input", lambda: backward([True, False, False])),
            ("backward_weights", lambda: backward([False, True, True]))]]


def fashion_mnist(folder, part):
    def read(name, skip):
        with gzip.open(pathlib.Path(folder) / f"{part}-{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=skip)
    return read("images-idx3", 16).reshape(-1, 28, 28, 1).astype(np.float32) / 255, read("labels-idx1", 8).astype(np.int64)


def fit(o):
    """The last 20 % held out, stop after 3 epochs without a better val_loss, best weights restored."""
    (x, y), (test_x, test_y) = fashion_mnist(o.data, "train"), fashion_mnist(o.data, "t10k")
    if o.system == "keras":
        import keras
        keras.utils.set_random_seed(o.seed)
        network = keras_network(o.model, o.size, 10, o.learning_rate)
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
        start = time.perf_counter()
        epochs = len(network.fit(x, y, batch_size=o.batch, epochs=o.epochs, validation_split=0.2,
                                 callbacks=[stopping], verbose=0).epoch)
        seconds = time.perf_counter() - start
        accuracy = network.evaluate(test_x, test_y, verbose=0)[1]
    else:
        import torch
        torch.manual_seed(o.seed)
        x, y, test_x, test_y = torch_images(x), torch.from_numpy(y), torch_images(test_x), torch.from_numpy(test_y)
        n, network = int(0.8 * len(x)), torch_network(o.model)
        train, best, waited, epochs = torch_trainer(network), float("inf"), 0, 0
        start = time.perf_counter()
        while waited < 3:
            network.train()
            for batch in torch.randperm(n).split(o.batch):
                train(x[batch], y[batch])
            epochs, waited = epochs + 1, waited + 1
            with torch.inference_mode():
                loss = torch.nn.functional.cross_entropy(network.eval()(x[n:]), y[n:]).item()
            if loss < best:
                best, waited, weights = loss, 0, copy.deepcopy(network.state_dict())
        network.load_state_dict(weights)
        seconds = time.perf_counter() - start
        with torch.inference_mode():
            accuracy = (network(test_x).argmax(1) == test_y).float().mean().item()
    return [("fit.seconds", seconds, "s"), ("fit.epochs", epochs, "epochs"), ("fit.test_accuracy", accuracy, "")]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["step", "infer", "conv", "fit"])
    options.add_argument("system", choices=["torch", "keras"])
    options.add_argument("model", nargs="?", default="lenet5", choices=NETWORKS)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--size", type=int, help="`fit keras`: resize the images to this height and width")
    options.add_argument("--epochs", type=int, default=10_000, help="`fit keras`: at most so many")
    options.add_argument("--learning-rate", type=float, default=0.001, help="`fit keras`: Adam's")
    o = options.parse_args()
    if o.system == "torch":
        import torch
        torch.set_num_threads(o.threads)
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(o.threads)
    for what, figure, unit in {"step": step, "infer": infer, "conv": conv, "fit": fit}[o.what](o):
        print(what, o.system, o.model, o.batch, o.threads, f"{figure:.4g}", unit, sep="\t", flush=True)


if __name__ == "__main__":
    main()
