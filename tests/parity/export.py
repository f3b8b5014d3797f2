"""What PyTorch makes of the files that the Rust side exported.

    export.py FOLDER    FOLDER/case.json, FOLDER/{plain,folded,half,bytes}.pt, FOLDER/{weights,inputs}.safetensors
                        -> FOLDER/{torch,back}.safetensors

`torch.safetensors` holds the logits of every file, run as it is, image by image, frozen and optimised, beside those
of the plain module with the same weights; `back.safetensors` is the module's state_dict after it took the weights.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from reference import build

# Images that a file is run on one by one, and frozen and optimised; as it is, it is run on all.
N_SINGLE, N_FROZEN = 4, 16


@torch.no_grad()
def logits(path, images):
    module = torch.jit.load(path)
    assert not module.training, f"{path} does not begin in evaluation mode"
    return {
        "whole": module(images),
        "single": torch.cat([module(image[None]) for image in images[:N_SINGLE]]),
        "frozen": torch.jit.freeze(torch.jit.load(path))(images[:N_FROZEN]),
        "optimized": torch.jit.optimize_for_inference(torch.jit.load(path))(images[:N_FROZEN]),
    }


def metadata(path):
    extra = {"metadata.json": ""}
    torch.jit.load(path, _extra_files=extra)
    return json.loads(extra["metadata.json"])


@torch.no_grad()
def main(folder):
    warnings.simplefilter("ignore", FutureWarning)  # TorchScript gives way to torch.export
    inputs = load_file(folder / "inputs.safetensors")
    found = {}
    for name, images in [("plain", "images"), ("folded", "images"), ("half", "images"), ("bytes", "pixels")]:
        for way, result in logits(folder / f"{name}.pt", inputs[images]).items():
            found[f"{name}.{way}"] = result

    eager = build(json.loads((folder / "case.json").read_text())).eval()
    eager.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    save_file(eager.state_dict(), folder / "back.safetensors")
    found["eager"] = eager(inputs["images"])

    scripted = torch.jit.load(folder / "plain.pt")
    wanted = eager.state_dict()
    assert list(scripted.state_dict()) == list(wanted), "names and order of the state_dict"
    for name, tensor in scripted.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name
    trained = {name: p.requires_grad for name, p in eager.named_parameters()}
    assert {name: p.requires_grad for name, p in scripted.named_parameters()} == trained, "what is trained"
    assert metadata(folder / "plain.pt")["class_names"].startswith('["')

    # Both go on training alike: batch statistics, and the running ones they leave behind, and what dropout draws.
    for name, module in [("scripted_train", scripted), ("eager_train", eager)]:
        torch.manual_seed(0)
        found[name] = module.train()(inputs["images"])
    for name, tensor in scripted.state_dict().items():
        assert torch.allclose(tensor, eager.state_dict()[name], rtol=1e-5, atol=1e-6), name
    with torch.enable_grad():
        scripted(inputs["images"]).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in scripted.parameters()), "gradients"
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, folder / "torch.safetensors")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
