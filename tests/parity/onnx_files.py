"""Exported ONNX files in onnxruntime, against PyTorch with the weights they were made from.

    onnx_files.py FOLDER    what onnx_files.rs left there: case.json, *.safetensors and *.onnx
    onnx_files.py MODEL WEIGHTS.safetensors TEST_BATCH.bin FILE.onnx...    a trained network, on its test images

Each file must pass ONNX's checker and shape inference, and give PyTorch's logits at batch sizes 1
and 257. The files' metadata says how images are normalised.
"""

import functools
import json
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from onnx import TensorProto
from reference import MODELS, build
from safetensors.torch import load_file

# Images whose logits are compared one by one; the likeliest class is compared on all.
N_COMPARED = 1000


def tolerance(model):
    """Largest difference of a logit, and least share of images with the same likeliest class."""
    half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return (2e-2, 0.999) if half else (1e-4, 1.0)


def check(file):
    """The file, checked and with all shapes inferred."""
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    shapes = {info.name for info in inferred.graph.value_info} | {"logits"}
    unknown = {name for node in model.graph.node for name in node.output} - shapes
    assert not unknown, f"{file}: no shape for {unknown}"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)] and model.ir_version == 8
    return model


def session(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait otherwise spin, which starves whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


@functools.cache  # the files of a network are normalised alike
def wanted(network, pictures, normalization):
    """Bytes (N, 3, 32, 32) as the network sees them, and its logits."""
    of = json.loads(normalization)
    mean, std = (torch.tensor(of[key])[:, None, None] for key in ["mean", "std"])
    images = (pictures / 255 - mean) / std
    with torch.no_grad():
        return images, torch.cat([network(part) for part in images.split(257)]).numpy()


def compare(network, pictures, labels, file):
    """Runs `file` on `pictures`, bytes (N, 3, 32, 32)."""
    model, runtime = check(file), session(file)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert runtime.get_modelmeta().custom_metadata_map == metadata
    images, want = wanted(network, pictures, metadata["normalization"])
    takes_bytes = model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    given = (pictures.permute(0, 2, 3, 1) if takes_bytes else images).contiguous().numpy()

    def run(part):
        return runtime.run(["logits"], {"images": part})[0]

    batches = range(0, len(given), 257)
    got = numpy.concatenate([run(given[start : start + 257]) for start in batches])
    one = max(numpy.abs(run(given[i : i + 1]) - want[i]).max() for i in range(3))
    worst = max(numpy.abs(got - want)[:N_COMPARED].max(), one)
    agreement = (got.argmax(axis=1) == want.argmax(axis=1)).mean()
    accuracy = "" if labels is None else f", accuracy {(got.argmax(axis=1) == labels).mean():.2%}"
    largest, least = tolerance(model)
    if len(given) < 1000 and least < 1:
        least = 0.99  # an untrained network's best classes are nearly tied: one image must not decide
    print(
        f"{Path(file).name}: logits of {min(len(given), N_COMPARED)} images within {worst:.1e} of at most {largest:.0e}; "
        f"same class for {agreement:.2%} of {len(given)}{accuracy}"
    )
    assert worst <= largest and agreement >= least


def test_batch(file):
    records = numpy.fromfile(file, dtype=numpy.uint8).reshape(-1, 1 + 3 * 32 * 32)
    return torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()), records[:, 0]


def frozen(case, weights):
    network = build(case).eval()
    network.load_state_dict(load_file(weights), strict=True)
    return network


def main(arguments):
    torch.set_float32_matmul_precision("highest")
    match arguments:
        case [folder]:
            folder = Path(folder)
            network = frozen(json.loads((folder / "case.json").read_text()), folder / "weights.safetensors")
            pictures = load_file(folder / "pictures.safetensors")["pictures"]
            files = sorted(folder.glob("*.onnx"))
            assert files
            for file in files:
                compare(network, pictures, None, str(file))
        case [model, weights, batch, *files] if model in MODELS:
            network = frozen({"model": model, "activation": None}, weights)
            pictures, labels = test_batch(batch)
            for file in files:
                compare(network, pictures, labels, file)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
