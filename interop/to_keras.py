"""Loads weights that convnet saved into a Keras model of the same architecture.

    python interop/to_keras.py model.keras weights.safetensors trained.keras

or, in a program, `load(model, "weights.safetensors")`. The layers with weights are found by name if all of
them are called as in convnet (`conv2d`, `conv2d_1`, or the names they were given), else those of one class
in the order of `model.layers`.
"""

import re
import sys

from safetensors.numpy import load_file


def load(model, path):
    """Sets all weights of a Keras model; raises ValueError, and sets none, if they are not the file's."""
    stored = {}
    for name, array in load_file(path).items():
        layer, weight = name.rsplit("/", 1)
        stored.setdefault(layer, {})[weight] = array
    layers = [layer for layer in model.layers if layer.weights]
    if {layer.name for layer in layers} == set(stored):
        pairs = [(layer, layer.name) for layer in layers]
    else:
        pairs = by_class(layers, stored)

    problems, values = [], []
    for layer, name in pairs:
        weights = dict(stored.get(name, {}))
        values.append((layer, []))
        for weight in layer.weights:
            array = weights.pop(weight.name, None)
            if array is None:
                problems.append(f"{layer.name}/{weight.name} is missing")
            elif array.shape != tuple(weight.shape):
                problems.append(f"{name}/{weight.name} is {array.shape}, not {tuple(weight.shape)}")
            values[-1][1].append(array)
        problems += [f"{name}/{weight} is unexpected" for weight in weights]
    unused = set(stored) - {name for _, name in pairs}
    problems += [f"{name} is unexpected" for name in sorted(unused)]
    if problems:
        raise ValueError(f"{path} does not fit the model: " + "; ".join(problems))
    for layer, arrays in values:
        layer.set_weights(arrays)


def by_class(layers, stored):
    """Pairs of a layer and its name in the file, for names that convnet counted by itself."""

    def parts(name):
        match = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
        return match[1], int(match[2] or 0)

    left = sorted(stored, key=parts)
    pairs = []
    for layer in layers:
        base = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()
        found = next((name for name in left if parts(name)[0] == base), None)
        if found is not None:
            left.remove(found)
        pairs.append((layer, found))
    return pairs


if __name__ == "__main__":
    import keras

    template, weights, output = sys.argv[1:]
    model = keras.saving.load_model(template)
    load(model, weights)
    model.save(output)
