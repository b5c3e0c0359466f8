"""What one pass over a split counts, and what it says of the network."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation import bootstrap, metrics, report
from deeplab_tf.evaluation.boundary import BoundaryIou
from deeplab_tf.evaluation.calibration import Calibration
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.prediction.predictions import Prediction


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """How well a network predicts a split.

    Attributes:
        confusion: Of the predictions, after the CRF if there is one.
        without_crf: Of those before it, if there is one.
        crf: Its parameters and engine, as `metrics.json` has them, if there is one.
        images: Counts of each image, as `confusion` has them of all, in order.
        boundary: Boundary IoU, if it was asked for.
        calibration: Of the confidence, if it was asked for.
    """

    confusion: Confusion
    without_crf: Confusion | None = None
    crf: dict[str, Any] | None = None
    images: Sequence[ImageCounts] = ()
    boundary: BoundaryIou | None = None
    calibration: Calibration | None = None

    def __repr__(self) -> str:
        spec = self.confusion.spec
        return (
            f"<Evaluation of {len(self.images)} images: mIoU {self.miou:.2%} over "
            f"{spec.num_classes} classes of {spec.name}>"
        )

    @property
    def miou(self) -> float:
        """Mean IoU."""
        return metrics.mean_iou(self.confusion.matrix)

    @functools.cached_property
    def intervals(self) -> bootstrap.Intervals:
        """95 % intervals of the mIoU and of each class, by bootstrap over images."""
        return bootstrap.intervals(self.images, self.confusion.spec.num_classes)

    @property
    def scores(self) -> dict[str, Any]:
        """What `metrics.json` holds."""
        scores = report.summary(self.confusion) | report.details(self.confusion)
        classes = self.confusion.spec.classes
        scores["miou_interval"] = report.ends(self.intervals.miou)
        scores["iou_intervals"] = {
            name: report.ends(ends)
            for name, ends in zip(classes, self.intervals.iou, strict=True)
        }
        if self.boundary:
            scores["boundary_miou"] = metrics.number(self.boundary.miou)
            scores["boundary_iou"] = report.by_class(classes, self.boundary.iou)
        if self.calibration:
            scores["calibration"] = self.calibration.summary()
        if self.without_crf:
            scores["crf"] = self.crf
            scores["without_crf"] = report.summary(self.without_crf)
        return scores

    def by_crf(self) -> dict[str, Confusion]:
        """The confusion without the CRF and, if there is one, with it."""
        if not self.without_crf:
            return {"without CRF": self.confusion}
        return {"without CRF": self.without_crf, "with CRF": self.confusion}


class Counter:
    """Counts the images of a split, one after the other.

    Args:
        spec: Of the data set.
        trimap_widths: Pixels within so many of a boundary are counted, too.
        has_crf: Predictions before a CRF are counted, too.
        boundary: Boundary IoU is counted.
        calibration: Confidence is counted.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        trimap_widths: Sequence[int] = (),
        *,
        has_crf: bool = False,
        boundary: bool = False,
        calibration: bool = False,
    ) -> None:
        ignored = spec.ignore_label
        self.confusion = Confusion(spec, trimap_widths)
        self._without_crf = Confusion(spec, trimap_widths) if has_crf else None
        self._images: list[ImageCounts] = []
        self._boundary = BoundaryIou(spec.num_classes, ignored) if boundary else None
        self._calibration = Calibration(ignored) if calibration else None

    def add(self, plain: Prediction, final: Prediction) -> ImageCounts:
        """Counts an image.

        Args:
            plain: With a label; without a CRF.
            final: With the CRF, if there is one, and with its confidence, if that is
                counted.

        Returns:
            Its counts, of the final classes.

        Raises:
            InputError: The label is of other classes.
        """
        assert final.label is not None
        if self._without_crf:
            self._without_crf.add(plain)
        matrix = self.confusion.add(final)
        height, width = final.classes.shape
        counts = ImageCounts.of(final.name, (height, width), matrix)
        self._images.append(counts)
        if self._boundary:
            self._boundary.add(final.label, final.classes)
        if self._calibration:
            assert final.confidence is not None
            self._calibration.add(final.label, final.classes, final.confidence)
        return counts

    def evaluation(self, crf: dict[str, Any] | None = None) -> Evaluation:
        """What was counted.

        Args:
            crf: Parameters and engine of the CRF, if there is one.
        """
        return Evaluation(
            confusion=self.confusion,
            without_crf=self._without_crf,
            crf=crf,
            images=self._images,
            boundary=self._boundary,
            calibration=self._calibration,
        )
