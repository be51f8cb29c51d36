"""The round trip of models between convnet, Keras, PyTorch and ONNX Runtime; README.md says how to run it.

Every model predicts the same images on both sides; a difference of more than 1e-5 is a failure. With
--fixtures the small files that the others wrote, or have read, are put into fixtures/exchange for the
tests.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ["KERAS_BACKEND"] = "torch"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras
import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_state, save_file as save_state

import to_keras
from networks import KERAS, TORCH, keras_every_layer

ROOT = pathlib.Path(__file__).parent.parent
LARGEST = 1e-5


def convnet(half, folder):
    command = ["cargo", "run", "--release", "--quiet", "--example", "round_trip", "--", half, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)


def compare(what, found, expected):
    assert found.shape == expected.shape, f"{what}: {found.shape}, not {expected.shape}"
    largest = float(np.abs(found - expected).max())
    print(f"{what:40} {largest:.1e}")
    assert largest <= LARGEST, what


def in_onnxruntime(folder):
    for path in sorted(folder.glob("*.onnx")):
        onnx.checker.check_model(str(path), full_check=True)
        predicted = load_file(path.with_suffix(".predicted.safetensors"))
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        outputs = session.run(None, {session.get_inputs()[0].name: predicted["x"]})
        for i, output in enumerate(outputs):
            name = f" {session.get_outputs()[i].name}" if len(outputs) > 1 else ""
            compare(f"{path.stem}{name}, ONNX Runtime", output, predicted[f"y{i}"])


def in_keras(folder):
    for name, network in KERAS.items():
        model = network()
        to_keras.load(model, folder / f"{name}.safetensors")
        predicted = load_file(folder / f"{name}.predicted.safetensors")
        compare(f"{name}, Keras", model.predict(predicted["x"], verbose=0), predicted["y0"])


def in_pytorch(folder):
    for name, network in TORCH.items():
        model = network().eval()
        model.load_state_dict(load_state(folder / f"{name}.pytorch.safetensors"))
        predicted = load_file(folder / f"{name}.predicted.safetensors")
        compare(f"{name}, PyTorch", of_torch(model, predicted["x"]), predicted["y0"])


def of_torch(model, images):
    """What a model predicts for images with the channels last."""
    with torch.no_grad():
        return model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()


def from_keras(folder):
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    for name, network in [*KERAS.items(), ("every_layer", keras_every_layer)]:
        model = network()
        # As if it had been trained: nothing as it starts.
        model.set_weights([moved(rng, weight.name, weight.numpy()) for weight in model.weights])
        images = load_file(folder / f"{name}.predicted.safetensors")["x"]
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        outputs = model.predict(images, verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        arrays = {"x": images} | {f"y{i}": np.ascontiguousarray(y) for i, y in enumerate(outputs)}
        save_file(arrays, folder / f"{name}.keras.predicted.safetensors")


def moved(rng, name, weight):
    """Other numbers for what starts as zeros or ones; seeds stay."""
    if not np.issubdtype(weight.dtype, np.floating) or weight.ndim != 1:
        return weight
    numbers = rng.uniform(0.5, 1.0, weight.shape) if "variance" in name or "gamma" in name else rng.normal(0, 0.2, weight.shape)
    return numbers.astype(np.float32)


def from_pytorch(folder):
    torch.manual_seed(1)
    for name, network in TORCH.items():
        model = network()
        images = load_file(folder / f"{name}.predicted.safetensors")["x"]
        # A pass in training moves the statistics of batch normalisation.
        model.train()(torch.from_numpy(images).permute(0, 3, 1, 2))
        save_state(model.eval().state_dict(), folder / f"{name}.theirs.safetensors")
        arrays = {"x": images, "y0": of_torch(model, images)}
        save_file(arrays, folder / f"{name}.pytorch.predicted.safetensors")


def fixtures(folder):
    target = ROOT / "fixtures/exchange"
    target.mkdir(exist_ok=True)
    for name in [
        "every_layer.onnx",
        "every_layer.keras",
        "every_layer.keras.predicted.safetensors",
        *(f"{network}.{kind}" for network in ["small", "plain"] for kind in [
            "keras", "weights.h5", "keras.predicted.safetensors", "theirs.safetensors", "pytorch.predicted.safetensors",
        ]),
    ]:
        shutil.copy(folder / name, target / name)
    print(sum(path.stat().st_size for path in target.iterdir()), "bytes in fixtures/exchange")


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    convnet("write", folder)
    in_onnxruntime(folder)
    in_keras(folder)
    in_pytorch(folder)
    from_keras(folder)
    from_pytorch(folder)
    if "--fixtures" in sys.argv:
        fixtures(folder)
    convnet("read", folder)
print("all within", LARGEST)
