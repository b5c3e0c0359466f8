"""Settings of what annotation tools export."""

import dataclasses
from typing import Any, ClassVar, Literal

from deeplab_tf.config.fields import POSITIVE, check_ranges, flag
from deeplab_tf.errors import FlagError


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotationsConfig:
    """What an annotation tool exported."""

    topic: ClassVar = "Exports of annotation tools"
    annotation_dir: str | None = flag(
        "Folder that an annotation tool exported, instead of images and masks; "
        "--image_dir says where the photographs are, if elsewhere.",
        None,
    )
    annotation_tool: Literal[
        "auto",
        "labelme",
        "cvat",
        "roboflow",
        "label_studio",
        "superannotate",
        "voc",
        "coco",
        "cityscapes",
    ] = flag("Tool that exported --annotation_dir; auto: as the files look.", "auto")
    line_width: float | None = flag(
        "Width of labelme's lines and diameter of its points, in pixels: 5 if not "
        "given.",
        None,
        within=POSITIVE,
    )
    transparent: Literal["background", "ignore"] | None = flag(
        "What transparent pixels of SuperAnnotate's masks are: background if not "
        "given.",
        None,
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.annotation_dir:
            return
        for name in ("annotation_tool", "line_width", "transparent"):
            if getattr(self, name) not in (None, "auto"):
                raise FlagError(f"--{name} is for --annotation_dir, which is missing")

    @property
    def given(self) -> dict[str, Any]:
        """Settings of one tool or another that were given, by name."""
        values = {"line_width": self.line_width, "transparent": self.transparent}
        return {name: value for name, value in values.items() if value is not None}
