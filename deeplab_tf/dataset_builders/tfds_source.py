"""TFDS: a split of a prepared data set of tensorflow_datasets, as a sample source."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deeplab_tf.data import corrupt_records, decode, image_files, tfrecord
from deeplab_tf.data.open_image import MAX_PIXELS
from deeplab_tf.data.tfds.records import TfdsRecords
from deeplab_tf.dataset_builders.sources import Sample
from deeplab_tf.errors import InputError
from deeplab_tf.files import write_whole


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TfdsSource:
    """A `sources.SampleSource`.

    Each image and mask is a file for a moment, so that they are read and checked just
    as those of a folder are.

    Attributes:
        records: Of the split.
        max_pixels: Larger images are refused.
    """

    records: TfdsRecords
    max_pixels: int = MAX_PIXELS

    @property
    def table(self) -> np.ndarray | None:
        """See `sources.SampleSource`."""
        return self.records.table

    def __len__(self) -> int:
        return self.records.count()

    def samples(self, start: int, stop: int) -> Iterator[Sample]:
        """See `sources.SampleSource`."""
        part = self.records.select(start, stop)
        with tempfile.TemporaryDirectory() as folder:
            samples = corrupt_records.read_batches(part.in_order(), part)
            for index, sample in enumerate(samples):
                yield self._sample(sample, part.where(index), Path(folder))

    def _sample(self, sample: decode.Sample, where: str, folder: Path) -> Sample:
        name = tfrecord.decode_name(sample["name"])
        origin = f"{where} ({name})"
        image = folder / f"{origin} image".replace("/", "_")
        write_whole(image, sample["image"].numpy(), flushed=False)
        label = folder / f"{origin} mask".replace("/", "_")
        write_whole(label, sample["label"].numpy(), flushed=False)
        told: list[str] = []
        most = self.max_pixels
        try:
            encoded, image_format, size = image_files.encode_image(
                image, max_pixels=most, tell=told.append
            )
            ids = None
            if label.stat().st_size:
                ids = image_files.read_mask(label, max_pixels=most)
        except InputError as error:
            error.args = (str(error).replace(f"{folder}/", ""),)
            raise
        finally:
            image.unlink()
            label.unlink()
        return Sample(
            name=name,
            image=encoded,
            image_format=image_format,
            size=size,
            label=ids if ids is None or self.table is None else self.table[ids],
            origin=origin,
            remarks=[(what, origin) for what in told],
        )

    def identity(self) -> str:
        """See `sources.SampleSource`."""
        data = self.records.data
        info = data.builder.info
        sha256 = hashlib.sha256(
            repr((info.full_name, data.features, self.records.slices)).encode()
        )
        sha256.update(b"" if self.table is None else self.table.tobytes())
        for split in sorted({part.split for part in self.records.slices}):
            for path in map(Path, info.splits[split].filepaths):
                status = path.stat()
                facts = (path.name, status.st_size, status.st_mtime_ns)
                sha256.update(repr(facts).encode())
        return sha256.hexdigest()
