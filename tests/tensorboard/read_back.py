"""Prints as JSON what TensorBoard reads in the event files of one run folder.

    python read_back.py RUN

The loader is that of TensorBoard's own pages, with nothing sampled away.
"""

import io
import json
import sys

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata


def value(proto):
    """A google.protobuf.Value as a Python value."""
    return getattr(proto, proto.WhichOneof("kind"))


def picture(event):
    """Step and size of an image, decoded to its last pixel."""
    image = Image.open(io.BytesIO(event.encoded_image_string))
    image.load()
    assert (image.width, image.height) == (event.width, event.height), event
    assert image.mode == "RGB", image.mode
    return {"step": event.step, "width": image.width, "height": image.height}


def histogram(event):
    """Step and sums of a histogram, its buckets added up."""
    histo = event.histogram_value
    assert len(histo.bucket) == len(histo.bucket_limit)
    assert list(histo.bucket_limit) == sorted(histo.bucket_limit)
    return {
        "step": event.step,
        "n": histo.num,
        "n_in_buckets": sum(histo.bucket),
        "min": histo.min,
        "max": histo.max,
    }


def hparams(run):
    """The hyperparameters and whether the run came to its end."""
    found = run.SummaryMetadata
    start = metadata.parse_session_start_info_plugin_data(
        found(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    ended = metadata.SESSION_END_INFO_TAG in run.Tags()["tensors"]
    return {key: value(v) for key, v in start.hparams.items()}, ended


def main():
    run = EventAccumulator(sys.argv[1], size_guidance={k: 0 for k in KINDS})
    run.Reload()
    tags = run.Tags()
    values, ended = hparams(run)
    texts = {
        tag: [event.tensor_proto.string_val[0].decode() for event in run.Tensors(tag)]
        for tag in run.PluginTagToContent("text")
    }
    document = {
        "scalars": {t: [[e.step, e.value] for e in run.Scalars(t)] for t in tags["scalars"]},
        "images": {t: [picture(e) for e in run.Images(t)] for t in tags["images"]},
        "histograms": {t: [histogram(e) for e in run.Histograms(t)] for t in tags["histograms"]},
        "texts": texts,
        "hparams": values,
        "ended": ended,
    }
    json.dump(document, sys.stdout)


KINDS = ["scalars", "images", "histograms", "compressedHistograms", "tensors"]

if __name__ == "__main__":
    main()
