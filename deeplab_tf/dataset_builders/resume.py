"""Where a build's shards wait until all are done, and how they then appear.

The hidden folder `.building` keeps finished shards over a kill. Nothing in the output
folder changes before the last one is whole. Then the old shards go, `dataset.json` and
the new ones come; between, shards are missing by their names, which readers refuse.
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from absl import logging

from deeplab_tf.data import spec as spec_
from deeplab_tf.data import tfrecord_writer
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_builders.shard import Shard, Summary, sha256
from deeplab_tf.dataset_builders.work import ProcessDied
from deeplab_tf.errors import InputError
from deeplab_tf.files import LOCK, alone, flush, write_whole

_MANIFEST = "manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A build that is not done.

    Attributes:
        output: Folder of the records.
        folder: `.building` in it.
        made: Folders that were made for it, innermost first.
    """

    output: Path
    folder: Path
    made: tuple[Path, ...] = ()

    def whole(self, shards: Sequence[Shard]) -> list[Shard]:
        """The shards that are finished, here or, if it was cut short, in the output."""
        found = [shard for shard in shards if self._is_whole(shard.name)]
        names = {name for shard in found for name in (shard.name, _summary(shard))}
        if len(found) == len(shards):
            names.add(spec_.FILE_NAME)  # `finish` needs it as long as this is not done.
        for path in self.folder.iterdir():
            if path.name not in names | {_MANIFEST}:
                path.unlink()
        return found

    def _is_whole(self, name: str) -> bool:
        try:
            wanted = Summary.load(self.folder / name).sha256
        except (OSError, ValueError, KeyError, TypeError):
            return False
        paths = (self.folder / name, self.output / name)
        return any(path.exists() and sha256(path) == wanted for path in paths)

    def publish(self, spec: DatasetSpec) -> None:
        """Puts `dataset.json` and the shards that it lists in the place of the old."""
        spec.save(self.folder)
        self._move(spec)

    def finish(self) -> bool:
        """Goes on with a `publish` that was cut short; False where there was none."""
        spec = spec_.load(self.folder)
        if spec:
            self._move(spec)
        return spec is not None

    def _move(self, spec: DatasetSpec) -> None:
        coming = {name for name in spec.shards if (self.folder / name).exists()}
        stay = spec.shards.keys() - coming
        for split in {tfrecord_writer.shard_split(name) for name in spec.shards}:
            for old in self.output.iterdir():
                if (
                    tfrecord_writer.shard_split(old.name) == split
                    and old.name not in stay
                ):
                    old.unlink()
        flush(self.output)
        spec.save(self.output)
        for name in sorted(coming):
            (self.folder / name).replace(self.output / name)
        flush(self.output)
        shutil.rmtree(self.folder)

    def discard(self) -> None:
        """Leaves nothing behind."""
        shutil.rmtree(self.folder)
        (self.output / LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Somebody else put something there.
            for folder in self.made:
                folder.rmdir()


@contextlib.contextmanager
def unfinished(output: Path, fingerprint: str) -> Iterator[Unfinished]:
    """The build that an output folder awaits; it outlives anything but bad input.

    Args:
        output: Made if need be.
        fingerprint: Of what is built; an unfinished build of something else is dropped.

    Raises:
        InputError: Another process builds in this folder.
    """
    made = tuple(path for path in (output, *output.parents) if not path.exists())
    output.mkdir(parents=True, exist_ok=True)
    with alone(output, flag="output_dir", doing="building"):
        build = _opened(output, fingerprint, made)
        try:
            yield build
        except ProcessDied:
            raise
        except InputError:
            build.discard()
            raise


def _opened(output: Path, fingerprint: str, made: tuple[Path, ...]) -> Unfinished:
    folder = output / tfrecord_writer.UNFINISHED
    manifest = _manifest(folder)
    earlier = Unfinished(
        output=output, folder=folder, made=(*map(Path, manifest.made),)
    )
    if manifest.fingerprint == fingerprint:
        return earlier
    if earlier.finish():
        logging.info("%s: an earlier build, cut short at its end, is complete", output)
    elif manifest.fingerprint:
        logging.info("%s: the unfinished build there is of other data; anew", output)
        made = earlier.made
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    manifest = _Manifest(fingerprint=fingerprint, made=list(map(str, made)))
    write_whole(folder / _MANIFEST, json.dumps(dataclasses.asdict(manifest)))
    return Unfinished(output=output, folder=folder, made=made)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Manifest:
    fingerprint: str = ""
    made: Sequence[str] = ()


def _manifest(folder: Path) -> _Manifest:
    try:
        return _Manifest(**json.loads((folder / _MANIFEST).read_text()))
    except (OSError, ValueError, TypeError):
        return _Manifest()


def _summary(shard: Shard) -> str:
    return Path(shard.name).with_suffix(".json").name
