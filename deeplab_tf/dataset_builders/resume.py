"""Resume and publish: shards wait in a staging folder until all of them are done.

That hidden folder, `.building`, keeps finished shards over a kill. Nothing in the
output folder changes before the last one is whole. Then the old shards go,
`dataset.json` and the new ones come; between, shards are missing by their names, which
readers refuse.
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
from deeplab_tf.dataset_builders.parallel_config import WorkerLost
from deeplab_tf.dataset_builders.shard import Shard, ShardSummary
from deeplab_tf.errors import InputError
from deeplab_tf.files import (
    LOCK,
    file_digest,
    flush,
    lock_folder,
    remove,
    write_whole,
)
from deeplab_tf.text_files import read_json, to_record

_MANIFEST = "manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StagedBuild:
    """A build that is not published.

    Attributes:
        output: Folder of the records.
        folder: `.building` in it.
        created: Folders that were made for it, innermost first.
    """

    output: Path
    folder: Path
    created: tuple[Path, ...] = ()

    def finished_shards(self, shards: Sequence[Shard]) -> list[Shard]:
        """The shards that are whole, here or, if `publish` was cut short, in `output`.

        Removes everything else from the staging folder.
        """
        finished = [shard for shard in shards if self._is_finished(shard.name)]
        names = {
            name for shard in finished for name in (shard.name, _summary_name(shard))
        }
        if len(finished) == len(shards):
            names.add(spec_.FILE_NAME)  # `resume_publish` needs it.
        for path in self.folder.iterdir():
            if path.name not in names | {_MANIFEST}:
                remove(path)
        return finished

    def _is_finished(self, name: str) -> bool:
        try:
            wanted = ShardSummary.load(self.folder / name).sha256
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        paths = (self.folder / name, self.output / name)
        return any(path.exists() and file_digest(path) == wanted for path in paths)

    def publish(self, spec: DatasetSpec) -> None:
        """Puts `dataset.json` and the shards that it lists in the place of the old."""
        spec.save(self.folder)
        self._move(spec)

    def resume_publish(self) -> bool:
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
            for folder in self.created:
                folder.rmdir()


@contextlib.contextmanager
def staged_build(output: Path, fingerprint: str) -> Iterator[StagedBuild]:
    """Opens or resumes the build of a folder; it outlives anything but bad input.

    Args:
        output: Made if need be.
        fingerprint: Of what is built; a staged build of something else is dropped.

    Raises:
        InputError: Another process builds in this folder.
    """
    created = tuple(path for path in (output, *output.parents) if not path.exists())
    output.mkdir(parents=True, exist_ok=True)
    with lock_folder(output, flag="output_dir", doing="building"):
        build = _open_staging(output, fingerprint, created)
        try:
            yield build
        except WorkerLost:
            raise
        except InputError:
            build.discard()
            raise


def _open_staging(
    output: Path, fingerprint: str, created: tuple[Path, ...]
) -> StagedBuild:
    folder = output / tfrecord_writer.UNFINISHED
    if folder.is_symlink():
        raise InputError(f"{folder} is a symbolic link; remove it")
    manifest = _load_manifest(folder)
    earlier = StagedBuild(
        output=output, folder=folder, created=(*map(Path, manifest.created),)
    )
    if manifest.fingerprint == fingerprint:
        return earlier
    if earlier.resume_publish():
        logging.info("%s: an earlier build, cut short at its end, is complete", output)
    elif manifest.fingerprint:
        logging.info("%s: the unfinished build there is of other data; anew", output)
        created = earlier.created
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    manifest = _Manifest(fingerprint=fingerprint, created=list(map(str, created)))
    write_whole(folder / _MANIFEST, json.dumps(dataclasses.asdict(manifest)))
    return StagedBuild(output=output, folder=folder, created=created)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Manifest:
    fingerprint: str = ""
    created: Sequence[str] = ()


def _load_manifest(folder: Path) -> _Manifest:
    try:
        return to_record(_Manifest, read_json(folder / _MANIFEST, "a manifest"))
    except ValueError:  # None, or another's: the build begins anew.
        return _Manifest()


def _summary_name(shard: Shard) -> str:
    return Path(shard.name).with_suffix(".json").name
