"""Evaluates a training folder on a split of CamVid, or of a tree like it, as it is.

    python examples/evaluate_camvid.py --checkpoint_dir=run --camvid_root=CamVid \
      --split=test --eval_logdir=run/test

The tree has images/test and labels/test, or SegNet's test and testannot, or the
original masks in colors with a test.txt, as datasets/build_camvid_data.py reads them;
masks count the classes from 0, and the id behind the last one is void. A classes.txt in
it, a name a line, says what the ids mean; without one, they are the 11 classes of
CamVid. They have to be those that the network learned. What --eval_logdir gets is what
eval.py writes, and records/, from which vis.py draws.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

from absl import logging

from deeplab_tf import cli, noise
from deeplab_tf.config import EvalConfig, InferenceConfig, ModelConfig
from deeplab_tf.config.data import DataConfig
from deeplab_tf.config.effects import where
from deeplab_tf.config.fields import Overrides, flag, require_given
from deeplab_tf.config.predict import OF_A_CRF, CrfConfig, TileConfig
from deeplab_tf.data import class_names, image_files, spec_compatibility
from deeplab_tf.data.labels import contract
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.data.specs import camvid
from deeplab_tf.dataset_builders import FileSource, ParallelConfig, published
from deeplab_tf.datasets.build_camvid_data import find_pairs
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable

_CLASSES = "classes.txt"
_VOID = ("void", "unlabelled", "unlabeled", "ignore")  # Last lines that are no class.


@dataclasses.dataclass(frozen=True, kw_only=True)
class CamvidEvalConfig:
    """Evaluates a training folder on a split of CamVid, or of a tree like it."""

    topic: ClassVar = "Evaluation"
    rules: ClassVar = (where("has_crf", *OF_A_CRF, shown="crf"),)
    checkpoint_dir: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME.",
        None,
        required=True,
    )
    camvid_root: str | None = flag("Folder of the tree.", None, required=True)
    split: str = flag("Split of the tree.", "test")
    eval_logdir: str | None = flag(
        "Folder of metrics.json, tables and records/.", None, required=True
    )
    report: bool = flag("Write report.html, too.", False)
    model: Overrides[ModelConfig] = Overrides(ModelConfig())
    inference: InferenceConfig = InferenceConfig()
    tiles: TileConfig = TileConfig()
    refinement: CrfConfig = CrfConfig()

    def __post_init__(self) -> None:
        require_given(self)

    @property
    def has_crf(self) -> bool:
        """Whether a CRF is asked for."""
        return self.refinement.is_asked_for


def evaluate(config: CamvidEvalConfig) -> dict[str, Any]:
    """Makes records of the split, and scores the network on each image of it.

    Returns:
        What `metrics.json` holds.

    Raises:
        InputError: The tree or the checkpoint cannot be read, or is of other classes.
    """
    noise.load_tensorflow()
    from deeplab_tf.evaluation import run
    from deeplab_tf.prediction import load

    folder = check_writable("eval_logdir", config.eval_logdir)
    root, checkpoint = Path(config.camvid_root or ""), config.checkpoint_dir or ""
    spec, trained = read_classes(root), load.read_run(checkpoint).spec
    if trained:
        spec_compatibility.check_same_classes(
            trained,
            spec,
            subject=f"{checkpoint} was trained on",
            remedy=f"take a run of these classes, or list others in {root / _CLASSES}",
            folder=str(root),
        )
    build_records(root, config.split, spec, folder / "records")
    return run.evaluate(
        EvalConfig(
            checkpoint_dir=checkpoint,
            eval_logdir=config.eval_logdir,
            eval_split=config.split,
            report=config.report,
            data=DataConfig(dataset_dir=str(folder / "records")),
            model=config.model,
            inference=config.inference,
            tiles=config.tiles,
            refinement=config.refinement,
        )
    )


def read_classes(root: Path) -> DatasetSpec:
    """The classes of a tree: those of its `classes.txt`, or CamVid's.

    Raises:
        InputError: There is no tree, or the file lists no classes.
    """
    if not root.is_dir():
        raise InputError(f"--camvid_root={root}: no such folder")
    path = root / _CLASSES
    if not path.exists():
        logging.info("%s: no %s; the classes are CamVid's", root, _CLASSES)
        return camvid.SPEC
    names = class_names.check(class_names.read(path), path)
    if names[-1].lower() in _VOID:
        names = names[:-1]
    if not names:
        raise InputError(f"{path}: void alone; one class name a line is needed")
    if names == camvid.SPEC.classes:
        return camvid.SPEC
    return DatasetSpec(
        name=root.resolve().name, classes=names, palette=distinct_colors(len(names))
    )


def build_records(root: Path, split: str, spec: DatasetSpec, folder: Path) -> None:
    """Writes the records of a split.

    Raises:
        InputError: The split is not there, an image has no mask or one of another size,
            or a mask has ids that are no classes.
    """
    pairs = find_pairs(root, split, root)
    if not pairs:
        raise InputError(
            f"--camvid_root={root}: neither images/{split} and labels/{split}, nor "
            f"{split} and {split}annot are there, nor {split}.txt"
        )
    is_camvid = spec is camvid.SPEC
    source = FileSource(
        pairs=pairs,
        read_mask=published.read_camvid if is_camvid else image_files.read_mask,
        table=contract.id_table({spec.num_classes: spec.ignore_label}),
    )
    published.build({split: source}, spec, str(folder), parallel=ParallelConfig())


if __name__ == "__main__":
    cli.run(CamvidEvalConfig, evaluate)
