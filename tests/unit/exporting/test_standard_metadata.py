"""`TFLITE_METADATA`: what Android Studio, MediaPipe and Netron read in every `.tflite` file.

No reader of it is in the environment, so one is here, by the field numbers of the public schema.
"""

import flatbuffers
import numpy as np
import pytest

from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert import standard
from vae_tf.formats.litert.metadata import read

FLAGS = flatbuffers.number_types


class Table:
    """A view of a flatbuffer's table."""

    def __init__(self, content, position):
        self.content, self.tab = content, flatbuffers.table.Table(content, position)

    def _at(self, slot):
        return self.tab.Offset(4 + 2 * slot)

    def text(self, slot):
        return self.tab.String(self.tab.Pos + self._at(slot)).decode()

    def byte(self, slot):
        return self.tab.Get(FLAGS.Uint8Flags, self.tab.Pos + self._at(slot))

    def table(self, slot):
        return Table(self.content, self.tab.Indirect(self.tab.Pos + self._at(slot)))

    def tables(self, slot):
        start = self.tab.Vector(self._at(slot))
        count = self.tab.VectorLen(self._at(slot))
        return [Table(self.content, self.tab.Indirect(start + 4 * i)) for i in range(count)]

    def floats(self, slot):
        return self.tab.GetVectorAsNumpy(FLAGS.Float32Flags, self._at(slot)).tolist()

    def has(self, slot):
        return bool(self._at(slot))


def opened(content):
    told = read(content, standard.NAME)
    assert told[4:8] == b"M001"
    return Table(told, flatbuffers.encode.Get(FLAGS.UOffsetTFlags.packer_type, told, 0))


def test_every_file_tells_names_and_meanings(exported):
    signatures = exported.bundle.manifest["signatures"]
    paths = sorted(exported.bundle.directory.rglob("*.tflite"))
    assert paths
    for path in paths:
        content = path.read_bytes()
        model, told = litert.opened(content), opened(content)
        half = path.name.partition(".")[0].partition("-")[0]
        assert [told.text(slot) for slot in (0, 2, 4)] == [f"VAE {half}", "1", "vae_tf"]
        graphs = told.tables(3)
        assert len(graphs) == len(model.subgraphs)
        names = {s.subgraphIndex: s.signatureKey.decode() for s in model.signatureDefs}
        for index, graph in enumerate(graphs):
            assert graph.text(0) == names[index]
            for slot, side in ((2, "inputs"), (3, "outputs")):
                entries = signatures[names[index]][side]
                tensors = graph.tables(slot)
                assert [tensor.text(0) for tensor in tensors] == list(entries)
                for tensor, entry in zip(tensors, entries.values(), strict=True):
                    assert entry["meaning"] in tensor.text(1)
                    assert entry["unit"] in tensor.text(1)
                    image = len(entry["shape"]) == 4
                    assert tensor.table(3).byte(0) == (standard.IMAGE if image else 1)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize(("channels", "colours"), [(1, 2), (3, 1)])
def test_levels_become_what_the_encoder_takes(low, high, channels, colours):
    entry = {"meaning": "image", "unit": "intensity", "dtype": "float32", "range": (low, high)}
    ends = {"image": {**entry, "shape": [None, 4, 5, channels]}}
    graph = {"name": "encode", "inputs": ends, "outputs": {}}
    content = standard.content_of("a", "b", "1", "c", [graph])
    root = Table(content, flatbuffers.encode.Get(FLAGS.UOffsetTFlags.packer_type, content, 0))
    (image,) = root.tables(3)[0].tables(2)
    assert image.table(3).table(1).byte(0) == colours
    (unit,) = image.tables(4)
    (mean,), (std,) = unit.table(1).floats(0), unit.table(1).floats(1)
    levels = np.array([0.0, 255.0])
    np.testing.assert_allclose((levels - mean) / std, [low, high], atol=1e-6)
    assert (image.table(5).floats(1), image.table(5).floats(0)) == ([low], [high])


def test_nothing_is_claimed_that_is_not_known():
    entry = {"meaning": "m", "unit": "u", "dtype": "float32", "shape": [None, 7]}
    graph = {"name": "decode", "inputs": {"z": entry}, "outputs": {}}
    content = standard.content_of("a", "b", "", "c", [graph])
    root = Table(content, flatbuffers.encode.Get(FLAGS.UOffsetTFlags.packer_type, content, 0))
    (z,) = root.tables(3)[0].tables(2)
    assert z.table(3).byte(0) == standard.FEATURE
    assert not any(map(z.has, (4, 5)))
