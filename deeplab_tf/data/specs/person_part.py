"""PASCAL-Person-Part: the people of PASCAL-Part, on VOC 2010, in six parts.

http://roozbehm.info/pascal-parts/pascal-parts.html, merged as DeepLab v2 did.
"""

from collections.abc import Mapping

from deeplab_tf.data.spec import DatasetSpec, distinct_colors

# Class -> names of the parts in PASCAL-Part; left and right are told apart there.
PARTS: Mapping[str, str] = {
    "head": "head hair leye reye lear rear lebrow rebrow nose mouth",
    "torso": "torso neck",
    "upper arms": "luarm ruarm",
    "lower arms": "llarm rlarm lhand rhand",
    "upper legs": "luleg ruleg",
    "lower legs": "llleg rlleg lfoot rfoot",
}
SPEC = DatasetSpec(
    name="pascal_person_part",
    classes=("background", *PARTS),
    palette=distinct_colors(7),
    split_sizes={"train": 1716, "val": 1817},
)


def ids() -> dict[str, int]:
    """Class of each part, by its name in PASCAL-Part."""
    return {
        part: SPEC.classes.index(name)
        for name, parts in PARTS.items()
        for part in parts.split()
    }
