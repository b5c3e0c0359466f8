"""Looks into checkpoints, and writes them as TensorFlow 1 does.

python -m deeplab_tf.checkpoints inspect PATH
python -m deeplab_tf.checkpoints convert PATH NEW_PREFIX
python -m deeplab_tf.checkpoints zoo
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deeplab_tf import cli, compat, noise
from deeplab_tf.checkpoints import zoo
from deeplab_tf.config import ModelConfig
from deeplab_tf.config.fields import text
from deeplab_tf.errors import InputError


def main(arguments: list[str]) -> int:
    """Runs a command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deeplab_tf.checkpoints", description=__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True)
    path = "training folder, or folder, prefix or .index of a checkpoint, or zoo:NAME"
    inspect = commands.add_parser("inspect", help="what it holds, and flags to load it")
    inspect.add_argument("path", help=path)
    convert = commands.add_parser("convert", help="write it as TensorFlow 1 does")
    convert.add_argument("path", help=path)
    convert.add_argument("prefix", help="of the new one, as old/model.ckpt-30000")
    commands.add_parser("zoo", help="list the official model zoo, and what is cached")
    given = parser.parse_args(arguments)
    tasks = {
        "inspect": lambda: _inspect(given.path),
        "convert": lambda: _convert(given.path, given.prefix),
        "zoo": _list_zoo,
    }
    return cli.exit_code_of(tasks[given.command])


# TensorFlow is loaded by what is called, after the environment is set for it.


def _inspect(path: str) -> None:
    compat.require_tensorflow_backend("reading a checkpoint")
    noise.load_tensorflow()
    from deeplab_tf.checkpoints import zoo_fetch

    lines = list(_lines(zoo_fetch.locate(path)))
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _convert(path: str, prefix: str) -> None:
    compat.require_tensorflow_backend("writing a checkpoint")
    noise.load_tensorflow()
    from deeplab_tf.checkpoints import tf1, zoo_fetch

    count = tf1.convert(zoo_fetch.locate(path), prefix)
    sys.stdout.write(f"Wrote {count} variables to {prefix}\n")


def _list_zoo() -> None:
    sys.stdout.writelines(f"{line}\n" for line in zoo.listing())


def _lines(path: str) -> Iterator[str]:
    """What a checkpoint is, line by line."""
    from deeplab_tf.checkpoints import infer_config, reader, run_folder

    stored = reader.open_checkpoint(path)
    numbers = sum(math.prod(shape) for shape in stored.shapes.values())
    yield f"checkpoint  {stored.prefix}"
    yield f"weights     {len(stored.shapes)}, {numbers:,} numbers"
    yield f"besides     {len(stored.all_keys) - len(stored.shapes)} of the training"
    yield f"step        {stored.step}"
    run = run_folder.read(Path(stored.prefix).parent)
    config = run.model or infer_config.infer_model_config(stored)
    classes = infer_config.infer_num_classes(stored)
    yield f"variant     {config.model_variant}"
    yield f"classes     {classes or 'none: an image classifier'}"
    yield f"flags       {' '.join(_flags(config)) or '(the defaults)'}"
    if run.model:
        stored.all_values()  # Raises where the file is damaged.
        yield "            (of config.json, which the commands read)"
    elif classes:
        yield f"            {_check(config, classes, stored)}"


def _flags(config: ModelConfig) -> Iterator[str]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value != field.default or field.name == "model_variant":
            yield f"--{field.name}={text(value)}"


def _check(config: ModelConfig, classes: int, stored: Any) -> str:
    """Whether a network of these flags takes all of the checkpoint."""
    from deeplab_tf.checkpoints import restore
    from deeplab_tf.models.build import build

    try:
        restore.restore(build(config, classes), stored)
    except InputError as error:
        return f"(not all of them: {error})"
    return "(it has just these weights; rates and strides, here usual, leave no trace)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
