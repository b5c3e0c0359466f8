"""Archives for test servers: predictions in the form, and under the names, they take.

What is written is read again by the server's rules: names, modes, ids, sizes, and that
all images of the test set are there.
"""

import dataclasses
import io
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image

from deeplab_tf import console
from deeplab_tf.config import VisConfig
from deeplab_tf.data import image_files
from deeplab_tf.data.spec import Color, DatasetSpec, distinct_colors
from deeplab_tf.data.specs import ade20k, cityscapes, voc2012
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.prediction.predictor import Predictor

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """What a test server takes.

    Attributes:
        title: Of its data set.
        archive: Name of the file: `.zip`, or `.tgz`.
        images: How many the test set has.
        name: Pattern of their names without suffix; its group is what stays of it.
        member: Path of a prediction in the archive, with the name as `{}`.
        ids: By the classes of a network, what stands for each in a prediction.
        palette: Of an indexed PNG; without one, it is gray.
        size: Height, width of all predictions, where it is one.
        address: Where to upload.
    """

    title: str
    archive: str
    images: int
    name: str
    member: str
    ids: Mapping[tuple[str, ...], tuple[int, ...]]
    palette: tuple[Color, ...] = ()
    size: Size | None = None
    address: str

    def id_table(self, spec: DatasetSpec) -> np.ndarray | None:
        """The server's id of each class, uint8; None of other classes."""
        ids = self.ids.get(spec.classes)
        return None if ids is None else np.array(ids, np.uint8)


def _voc(competition: str) -> Server:
    """Development kit of VOC 2012, section 5.3, and http://host.robots.ox.ac.uk:8080."""
    return Server(
        title="PASCAL VOC 2012",
        archive=f"voc2012_{competition}.tgz",
        images=voc2012.SPEC.split_sizes["test"],
        name=r"(\d{4}_\d{6})",
        member=f"results/VOC2012/Segmentation/{competition}_test_cls/{{}}.png",
        ids={voc2012.SPEC.classes: tuple(range(21))},
        palette=distinct_colors(256),
        address="http://host.robots.ox.ac.uk:8080",
    )


SERVERS: Mapping[str, Server] = {
    "voc_comp5": _voc("comp5"),
    "voc_comp6": _voc("comp6"),
    # "berlin_000123_000019*.png", and labelIds, of which one a test image is needed.
    "cityscapes": Server(
        title="Cityscapes",
        archive="cityscapes.zip",
        images=cityscapes.SPEC.split_sizes["test_fine"],
        name=r"([a-z]+_\d{6}_\d{6})(?:_leftImg8bit)?",
        member="{}_pred_labelIds.png",
        ids={cityscapes.SPEC.classes: tuple(row[0] for row in cityscapes.LABELS)},
        size=(1024, 2048),
        address="https://www.cityscapes-dataset.com/submit/",
    ),
    # Development kit of the Scene Parsing Challenge, "Submission format": the names of
    # the images; ids as annotations have them, 0 for what is none of the 150 classes.
    "ade20k": Server(
        title="ADE20K",
        archive="ade20k.zip",
        images=3352,
        name=r"(ADE_test_\d{8})",
        member="{}.png",
        ids={
            ade20k.SPEC.classes: tuple(range(151)),
            ade20k.SPEC_150.classes: tuple(range(1, 151)),
        },
        address="http://sceneparsing.csail.mit.edu/eval/",
    ),
}


class Submission:
    """Predictions of a test set, as the archive that its server takes.

    Args:
        config: Of vis.py.
        predictor: Of the network.
        total: How many images there are.

    Raises:
        InputError: The network has other classes, the images are not all of the test
            set, or predictions would not be of their size.
    """

    def __init__(self, config: VisConfig, predictor: Predictor, total: int) -> None:
        given = f"--submission={config.submission}"
        self._server = server = SERVERS[str(config.submission)]
        self._path = Path(config.vis_logdir or "") / server.archive
        ids = server.id_table(predictor.spec)
        if ids is None:
            raise FlagError(
                f"{given}: the classes are not those of {server.title}, but the "
                f"{predictor.spec.num_classes} of {predictor.spec.name}"
            )
        self._ids = ids
        self._images = f"--image={config.image}"
        if config.image is None:
            self._images = f"--vis_split={config.vis_split}"
        if total != server.images:
            raise InputError(
                f"{self._images}: {total} images; the server takes the whole test set "
                f"of {server.title}, {server.images}"
            )
        if config.image is None and predictor.resize.min_resize_value is not None:
            raise InputError(
                f"{given}: records are predicted in the range of sizes "
                f"(--min_resize_value={predictor.resize.min_resize_value}), and the "
                "server takes the size of the photographs; give these, --image=FOLDER"
            )

    def write(self, predictions: Iterator[Prediction]) -> None:
        """Writes the archive beside its place, reads it again, then puts it there.

        Raises:
            InputError: An image has another name or size than those of the test set, or
                the archive does not hold what it should; there is none, then.
        """
        server, path = self._server, self._path
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.stem}.new{path.suffix}")
        sizes: dict[str, Size] = {}
        try:
            with (
                _Archive(unfinished) as archive,
                console.bar(total=server.images, unit="image") as bar,
            ):
                for prediction in predictions:
                    member = self._member(prediction, sizes)
                    ids = self._ids[prediction.classes]
                    archive.add(member, image_files.png(ids, server.palette))
                    bar.update()
            check(unfinished, server, sizes)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        logging.info(
            "Wrote %s: %d predictions, each read again; upload it at %s",
            *(path, len(sizes), server.address),
        )

    def _member(self, prediction: Prediction, sizes: dict[str, Size]) -> str:
        """The path of a prediction in the archive; notes the size of its image."""
        server, name = self._server, Path(prediction.name).name
        match = re.fullmatch(server.name, name)
        if match is None:
            raise InputError(
                f"{self._images}: {name} is no image of the test set of "
                f"{server.title}, whose names are as {server.name}"
            )
        size, member = prediction.image.shape[:2], server.member.format(match[1])
        if server.size not in (None, size):
            raise InputError(
                f"{self._images}: {name} is {size[1]}x{size[0]}; the server takes "
                f"{server.size[1]}x{server.size[0]} (width x height)"
            )
        if member in sizes:
            raise InputError(f"{self._images}: two images are called {match[1]}")
        sizes[member] = size
        return member


def check(path: Path, server: Server, sizes: Mapping[str, Size]) -> None:
    """Reads an archive by the rules of its server.

    Args:
        path: Of the archive.
        server: Whose it is.
        sizes: Height, width of the image of each prediction, by its path there.

    Raises:
        InputError: A prediction is missing, is none of the test set, or is of another
            mode, size, or other ids than the server takes.
    """
    mode = "P" if server.palette else "L"
    allowed = np.zeros(256, bool)
    for ids in server.ids.values():
        allowed[list(ids)] = True
    pattern = re.escape(server.member).replace(r"\{\}", server.name)
    names = set[str]()
    for name, content in _members(path):
        names.add(name)
        if name not in sizes or not re.fullmatch(pattern, name):
            raise InputError(f"{path}: {name} is none of the test set")
        with Image.open(io.BytesIO(content)) as image:
            given = image.format, image.mode, image.size[::-1]
            if given != ("PNG", mode, sizes[name]):
                raise InputError(
                    f"{path}: {name} is {given}; the server takes "
                    f"{('PNG', mode, sizes[name])} (mode; height, width)"
                )
            wrong = np.flatnonzero(
                ~allowed & (np.bincount(np.asarray(image).ravel(), minlength=256) > 0)
            )
        if wrong.size:
            raise InputError(
                f"{path}: {name} holds the id {wrong[0]}, which {server.title} has not"
            )
    if missing := sorted(sizes.keys() - names):
        raise InputError(
            f"{path}: {len(missing)} predictions are missing: {missing[0]}"
        )
    if len(names) != server.images:
        raise InputError(
            f"{path}: {len(names)} predictions; the test set of {server.title} has "
            f"{server.images} images"
        )


class _Archive:
    """A file that PNGs are added to, `.zip` or `.tgz`; they are compressed already."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._file: zipfile.ZipFile | tarfile.TarFile
        if path.suffix == ".zip":
            self._file = zipfile.ZipFile(path, "x")
        else:
            self._file = tarfile.open(path, "x:gz", compresslevel=1)  # noqa: SIM115

    def add(self, name: str, content: bytes) -> None:
        """Adds a file."""
        if isinstance(self._file, zipfile.ZipFile):
            self._file.writestr(name, content)
            return
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._file.addfile(member, io.BytesIO(content))

    def __enter__(self) -> "_Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yields names and contents of an archive's files."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name, archive.read(name)
        return
    with tarfile.open(path) as files:
        for member in files:
            content = files.extractfile(member)
            yield member.name, content.read() if content else b""
