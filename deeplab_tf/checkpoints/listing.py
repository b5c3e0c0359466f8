"""Which checkpoints a folder has, and the file `checkpoint` that says so."""

from collections.abc import Sequence
from pathlib import Path

from deeplab_tf.checkpoints import reader
from deeplab_tf.files import flush, write_whole

NAME = "model.ckpt"  # Before the step.


def names(folder: Path) -> list[str]:
    """Checkpoints that a folder lists, there or not; else those that are there."""
    prefixes = reader.listed(str(folder)) or reader.prefixes(str(folder))
    return [Path(prefix).name for prefix in prefixes]


def write(folder: Path, names: Sequence[str]) -> None:
    """Writes the file `checkpoint` as TensorFlow has it, the newest last."""
    every = "".join(f'all_model_checkpoint_paths: "{name}"\n' for name in names)
    newest = f'model_checkpoint_path: "{names[-1]}"\n'
    write_whole(folder / "checkpoint", newest + every)
    flush(folder)


def files(folder: Path, name: str) -> list[Path]:
    """Index and data of a checkpoint, as far as they are there."""
    index = folder / f"{name}.index"
    return [*([index] if index.exists() else []), *folder.glob(f"{name}.data-*")]


def remove(folder: Path, name: str) -> None:
    """Removes a checkpoint, of which anything may be missing."""
    for path in files(folder, name):  # The index first: then, there is none.
        path.unlink()
