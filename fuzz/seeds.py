"""Writes the committed seeds of the fuzz targets, true files and hostile ones.

    seeds.py    run with the packages of tests/parity/requirements.txt; writes fuzz/corpus
"""

import io
import json
import pickle
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from torch import nn

CORPUS = Path(__file__).parent / "corpus"


class Tiny(nn.Module):
    """The network of the target `weights`."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.fc = nn.Linear(12, 2)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).flatten(1))


def write(name, content):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def archive(records, compressed=()):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        for name, content in records:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of two records with one name
                method = zipfile.ZIP_DEFLATED if name in compressed else zipfile.ZIP_STORED
                out.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def zip64(records):
    """The same with numbers as of a file of 4 GB."""
    limit, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, 0
    count, zipfile.ZIP_FILECOUNT_LIMIT = zipfile.ZIP_FILECOUNT_LIMIT, 0
    content = archive(records)
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limit, count
    return content


def string(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def sizes(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(shape, strides, n_values, offset=0):
    """The pickled call that makes a tensor of floats from the storage 0."""
    storage = b"(" + string("storage") + b"ctorch\nFloatStorage\n" + string("0") + string("cpu") + number(n_values) + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = storage + number(offset) + sizes(shape) + sizes(strides) + b"\x89" + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def state_dict(*tensors):
    items = b"".join(string(f"t{i}") + tensor for i, tensor in enumerate(tensors))
    return b"\x80\x02}(" + items + b"u."


def with_storage(data_pkl, storage=bytes(64)):
    return archive([("x/data.pkl", data_pkl), ("x/data/0", storage)])


def torch_archives(tiny):
    weights = tiny.state_dict()
    scripted = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out
        torch.jit.save(torch.jit.script(tiny), scripted)
    half = {key: t.half() if t.is_floating_point() else t for key, t in weights.items()}
    transposed = {key: t.T.contiguous().T if t.ndim == 2 else t for key, t in weights.items()}
    optimizer = torch.optim.AdamW(tiny.parameters()).state_dict()
    for target in ["torch_archive", "weights"]:
        write(f"{target}/state_dict.pt", saved(weights))
        write(f"{target}/protocol_4.pt", saved(weights, pickle_protocol=4))
        write(f"{target}/parameters.pt", saved(dict(tiny.named_parameters())))
        write(f"{target}/checkpoint.pt", saved({"epoch": 3, "loss": 0.5, "state_dict": weights, "optimizer": optimizer}))
        write(f"{target}/half.pt", saved(half))
        write(f"{target}/transposed.pt", saved(transposed))
        write(f"{target}/torchscript.pt", scripted.getvalue())
        write(f"{target}/legacy.pt", saved(weights, _use_new_zipfile_serialization=False))
    with zipfile.ZipFile(io.BytesIO(saved(weights))) as true:
        write("pickle/state_dict.pkl", true.read("archive/data.pkl"))
    with zipfile.ZipFile(io.BytesIO(scripted.getvalue())) as true:
        [name] = [name for name in true.namelist() if name.endswith("/data.pkl")]
        write("pickle/torchscript.pkl", true.read(name))


def hostile_archives():
    plain = state_dict(tensor([4, 4], [4, 1], 16))
    system = b"\x80\x02cos\nsystem\n" + string("echo harm") + b"\x85R."
    two = [("x/data.pkl", plain), ("x/data/0", bytes(64))]
    module = b"c__torch__\nM\n)\x81"
    # Each module holds the one before it twice: 2 to the power of 30 visits.
    modules = [module + b"}bq\x00"]
    for i in range(30):
        before = b"h" + bytes([i])
        modules.append(module + b"}(" + string("a") + before + string("b") + before + b"ubq" + bytes([i + 1]))
    hostile = {
        "forbidden_global": with_storage(system),
        "zip_bomb": archive([("x/data.pkl", plain), ("x/data/0", bytes(1 << 22))], ["x/data/0"]),
        "absolute_path": archive([("/etc/passwd", b"x"), *two]),
        "parent_path": archive([("x/../../harm", b"x"), *two]),
        "two_of_one_name": archive([*two, ("x/data/0", bytes(64))]),
        "overflowing_shape": with_storage(state_dict(tensor([1 << 40, 1 << 40], [1 << 40, 1], 16))),
        "endless_view": with_storage(state_dict(tensor([1 << 40], [0], 16))),
        "negative_shape": with_storage(state_dict(tensor([-4, 4], [4, 1], 16))),
        "overflowing_storage": with_storage(state_dict(tensor([4], [1], (1 << 63) - 1))),
        "short_storage": with_storage(state_dict(tensor([4, 4], [4, 1], 16)), bytes(40)),
        "beyond_its_storage": with_storage(state_dict(tensor([4, 4], [4, 1], 16, offset=1))),
        "modules_without_end": archive([("x/data.pkl", b"\x80\x02" + b"".join(modules) + b".")]),
        "big_endian": archive([*two, ("x/byteorder", b"big")]),
        "zip64": zip64(two),
        "cut_off": with_storage(plain)[:-30],
    }
    for name, content in hostile.items():
        write(f"torch_archive/{name}.pt", content)
    write("pickle/forbidden_global.pkl", system)
    write("pickle/nested.pkl", b"\x80\x02" + b"]" * 2000 + b"a" * 1999 + b".")
    write("pickle/doubling.pkl", b"\x80\x02]q\x00" + b"h\x00h\x00\x86q\x00" * 64 + b"h\x00.")


def safetensors(tiny):
    weights = tiny.state_dict()
    save_file(weights, CORPUS / "weights/true.safetensors")
    write("weights/header_of_2_to_60_bytes.safetensors", struct.pack("<Q", 1 << 60) + b"{}")
    huge = {"fc.bias": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 8]}}
    header = json.dumps(huge).encode()
    write("weights/overflowing_shape.safetensors", struct.pack("<Q", len(header)) + header + bytes(8))


def pickled_batches():
    batch = {b"data": numpy.zeros((1, 3072), numpy.uint8), b"labels": [3], b"filenames": [b"a.png"]}
    for protocol in [2, 4]:
        write(f"pickled_batch/protocol_{protocol}.pkl", pickle.dumps(batch, protocol=protocol))


def png(width, height, rows):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pictures():
    write("image_file/grey.png", png(2, 2, bytes(14)))
    write("image_file/huge.png", png(65_535, 65_535, bytes(14)))
    pixels = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 70, 0, 0, 54, 40, 2, 2, 1, 24, 0, 16, 0, 0, 0, 0)
    write("image_file/grey.bmp", pixels + bytes(16))
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    write("image_file/dot.gif", gif)


def image_folders():
    def file(what, picture):
        return bytes([what]) + struct.pack("<H", len(picture)) + picture

    grey, dot, bitmap, huge = (
        (CORPUS / "image_file" / name).read_bytes() for name in ("grey.png", "dot.gif", "grey.bmp", "huge.png")
    )
    write("image_folder/two_classes", file(0, grey) + file(1 + 4 * 4, bitmap) + file(1 + 4 * 5, dot))
    write("image_folder/huge", file(0, grey) + file(1, huge))
    write("image_folder/other_format", file(4, grey) + file(2 + 4 * 7, b"notes"))


def main():
    torch.manual_seed(0)
    tiny = Tiny().eval()
    torch_archives(tiny)
    hostile_archives()
    safetensors(tiny)
    pickled_batches()
    pictures()
    image_folders()


if __name__ == "__main__":
    main()
