"""deeplab-predict: shards planned, those that are not done written, then the totals."""

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence

from absl import logging

from deeplab_tf import console, noise, storage
from deeplab_tf.batch_inference import networks, totals
from deeplab_tf.batch_inference.mask_names import DAMAGED, STATE
from deeplab_tf.batch_inference.shards import Shard, plan
from deeplab_tf.batch_inference.work import Job, write_shard
from deeplab_tf.config.batch import PredictConfig
from deeplab_tf.config.fields import text
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import LOCK, check_writable, lock_folder
from deeplab_tf.parallel import map_in_processes
from deeplab_tf.prediction.tiles import make_tiles

_MANIFEST = "job.json"


class PicturesLeftOut(InputError):
    """All is done, but for pictures that cannot be read."""

    exit_code = 3


def predict(config: PredictConfig) -> None:
    """Predicts all pictures; what the same command did before stays.

    Raises:
        InputError: Something given is not usable, or a shard failed; what is done
            stays.
        PicturesLeftOut: Some pictures could not be read; all others are predicted.
    """
    _check_beam(config.runner)
    model, digest = networks.resolve(config.model or "")
    output = config.output or ""
    if not storage.is_remote(output):
        check_writable("output", str(storage.to_local(output)))
    shards = plan(config.input or "", output, config.shard_size)
    job = Job(
        model=model,
        output=storage.normalize(output),
        output_format=config.output_format,
        batch_size=config.batch_size,
        threads=config.threads,
        tiles=make_tiles(config.tiles),
    )
    classes = _open_classes(job, is_alone=config.processes == 1 or len(shards) < 2)
    with _hold(job, output):
        _check_manifest(job, output, _settings(config, digest, shards))
        notes = set(storage.list_names(job.state))
        rest = [each for each in shards if f"{each.number}.json" not in notes]
        if len(rest) < len(shards):
            logging.info(
                "%d of %d shards are done", len(shards) - len(rest), len(shards)
            )
        start = time.perf_counter()
        count = _write(job, rest, config)
        seconds = time.perf_counter() - start
        result = totals.write(job, shards, classes)
    logging.info(
        "%s: %d pictures predicted%s",
        output,
        result.masks,
        f", {count} of them now, {count / seconds:.1f} a second" if count else "",
    )
    if result.damaged:
        raise PicturesLeftOut(
            f"{result.damaged} of {result.damaged + result.masks} pictures cannot be "
            f"read; {storage.join(output, DAMAGED)} has each with the reason"
        )


def _open_classes(job: Job, *, is_alone: bool) -> networks.Classes:
    """Opens the network here, too, so that a mistake is told before processes start."""
    if networks.needs_tensorflow(job.model):
        noise.load_tensorflow()
    classes = networks.open_network(job.model, job.threads, job.tiles).classes
    if not is_alone:  # The memory is for those that predict.
        networks.open_network.cache_clear()
    return classes


def _write(job: Job, shards: Sequence[Shard], config: PredictConfig) -> int:
    """Writes shards; returns how many pictures that were."""
    if not shards:
        return 0
    if config.runner:
        from deeplab_tf.batch_inference import beam_pipeline

        return beam_pipeline.write(job, shards, config.runner, config.beam_options)
    count = 0
    task = functools.partial(write_shard, job)
    total: int | None = sum(len(shard.pictures) for shard in shards)
    if shards[0].is_of_records:  # Whose pictures are not counted.
        total = None
    with console.bar(total=total, unit=" pictures") as bar:
        for _, (pictures, _) in map_in_processes(
            task,
            ((None, (shard,)) for shard in shards),
            total=len(shards),
            processes=config.processes,
            needs_tensorflow=networks.needs_tensorflow(job.model),
        ):
            bar.update(pictures)
            count += pictures
    return count


def _check_beam(runner: str | None) -> None:
    if runner is None:
        return
    try:
        import apache_beam  # noqa: F401
    except ImportError:
        raise FlagError(
            f"--runner={runner} needs Apache Beam: pip install 'deeplab-tf[beam]', in "
            "an environment of its own (docs/millions.md)"
        ) from None


@contextlib.contextmanager
def _hold(job: Job, output: str) -> Iterator[None]:
    """Holds a local folder; what was not finished there, goes."""
    if job.scratch is None:
        _check_new(job, output)
        yield
        return
    folder = storage.to_local(job.output)
    with lock_folder(folder, flag="output", doing="predicting"):
        _check_new(job, output)
        job.scratch.mkdir(exist_ok=True)
        for unfinished in job.scratch.glob(".*"):
            unfinished.unlink()
        yield


def _check_new(job: Job, output: str) -> None:
    """Raises where other files lie in the folder."""
    names = set(storage.list_names(job.output)) - {LOCK}
    if names and STATE not in names:
        raise InputError(
            f"--output={output}: holds {min(names)}, and nothing of this command; a "
            "new folder is needed"
        )


def _settings(
    config: PredictConfig, digest: str, shards: Sequence[Shard]
) -> dict[str, str | int]:
    """All that what is written follows from."""
    listing = hashlib.sha256()
    for shard in shards:
        for picture in shard.pictures:
            listing.update(os.fsencode("\0".join(picture)) + b"\n")
    tiles = config.tiles
    asked_for = {
        "tile": tiles.tile,
        "tile_overlap": tiles.tile_overlap,
        "tile_blend": tiles.tile_blend if tiles.tile else None,
    }
    return {
        "model": digest,
        "output_format": config.output_format,
        "batch_size": config.batch_size,
        "shard_size": config.shard_size,
        "threads": config.threads,
        "shards": len(shards),
        "input": listing.hexdigest(),
        # Those that were not asked for are not noted, as before there were any.
        **{name: text(value) for name, value in asked_for.items() if value},
    }


def _check_manifest(job: Job, output: str, settings: dict[str, str | int]) -> None:
    """Raises where the folder is of another command; else that is noted there."""
    path = storage.join(job.state, _MANIFEST)
    if not storage.exists(path):
        with storage.write_whole(path, job.scratch) as file:
            file.write(json.dumps(settings, indent=1).encode() + b"\n")
        return
    try:
        before = json.loads(storage.read(path))
        names = dict.fromkeys([*settings, *before])
        other = [name for name in names if before.get(name) != settings.get(name)]
    except (ValueError, AttributeError):
        other = ["settings"]
    if other:
        (first, *_) = other
        raise InputError(
            f"--output={output}: its predictions are of another --{first}; the same "
            "command goes on there, another needs a new folder"
        )
