"""Writes CamVid, as SegNet prepared it, as records.

    python datasets/build_camvid_data.py --camvid_root=CamVid --output_dir=records

where CamVid holds images/{train,val,...} and labels/{train,val,...}, or SegNet's own
{train,val,test} and {train,val,test}annot. Its void class 11 becomes the ignore label.
"""

import dataclasses
from pathlib import Path

from deeplab_tf import program
from deeplab_tf.data import building, labels
from deeplab_tf.data.building import Files
from deeplab_tf.data.specs import camvid
from deeplab_tf.errors import InputError
from deeplab_tf.settings import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class CamvidConfig:
    """Writes CamVid as records: the splits that are there."""

    camvid_root: str = flag("Folder of CamVid.", "./CamVid")
    output_dir: str = flag("Where the records go.", "./tfrecord")
    work: building.WorkConfig = building.WorkConfig()


def build(config: CamvidConfig) -> None:
    """Builds the splits train, val and test, as far as they are there.

    Raises:
        InputError: No split is there, or a file is missing or damaged.
    """
    root = Path(config.camvid_root)
    void = labels.mapping({camvid.VOID: camvid.SPEC.ignore_label})
    splits = {}
    for split in ("train", "val", "test"):
        for images, masks in (
            (root / "images" / split, root / "labels" / split),
            (root / split, root / f"{split}annot"),
        ):
            if images.is_dir():
                pairs = building.pairs_by_stem(images, masks)
                splits[split] = Files(pairs=pairs, table=void)
    if not splits:
        raise InputError(
            f"--camvid_root={root}: neither images/train and labels/train, nor train "
            "and trainannot are there"
        )
    building.build(splits, camvid.SPEC, config.output_dir, work=config.work)


if __name__ == "__main__":
    program.run(CamvidConfig, build)
