"""What `--image` names: files, folders and patterns of photographs and videos."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from deeplab_tf.data import image_files, image_folders
from deeplab_tf.data.open_image import summarize_damage
from deeplab_tf.errors import DamagedFile, FlagError, InputError
from deeplab_tf.visualizing import video_files
from deeplab_tf.visualizing.video_files import Clip

_KINDS = (*image_folders.SUFFIXES, *video_files.SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Sources:
    """Photographs and videos, each with the name that its pictures get."""

    photographs: Sequence[tuple[str, Path]]
    clips: Sequence[tuple[str, Clip]]


def find_sources(image: str, *, most: int | None = None) -> Sources:
    """Photographs and videos, each of which is read once: mistakes are told first.

    Args:
        image: A file, a folder, a pattern, several with commas between, or the number
            of a camera; what is there goes before what it could mean.
        most: Frames that are needed of a video, at most.

    Raises:
        InputError: There is no such file, one cannot be read, or two have one name.
    """
    is_one = Path(image).exists() or "," not in image
    named: list[tuple[str, Path]] = []
    for item in [image] if is_one else image.split(","):
        if item.isdecimal() and not Path(item).exists():
            if not is_one:
                raise FlagError(
                    f"--image={image}: a camera, {item}, comes alone; leave out the "
                    "others"
                )
            return Sources(
                [], [("camera", video_files.open_clip(int(item), most=most))]
            )
        named += _find(item.strip() or item)
    once: dict[Path, tuple[str, Path]] = {}  # A list may name a file twice.
    for name, path in named:
        once.setdefault(path.absolute(), (name, path))
    photographs = [each for each in once.values() if not _is_video(each[1])]
    _check_names(photographs)
    _read(photographs)
    videos = [each for each in once.values() if _is_video(each[1])]
    _check_names(videos)
    clips = [(name, video_files.open_clip(path, most=most)) for name, path in videos]
    return Sources(photographs, clips)


def _find(item: str) -> list[tuple[str, Path]]:
    """Names and paths of a file, of those below a folder, or of a pattern's."""
    path = Path(item)
    if path.is_dir():
        paths, folder = image_folders.find_images(path, suffixes=_KINDS), path
    elif path.exists():
        paths, folder = [path], path.parent
    elif image_folders.wildcards(item):
        paths, folder = _match(item)
    else:
        raise InputError(f"--image={item}: no such file or folder")
    return [
        (each.relative_to(folder).with_suffix("").as_posix(), each) for each in paths
    ]


def _match(pattern: str) -> tuple[list[Path], Path]:
    """Images and videos that a pattern fits, and the folder that it starts from."""
    whole = f"{pattern}/*" if pattern.endswith("**") else pattern
    top = Path(whole.partition("*")[0].partition("?")[0] + "x").parent
    root, rest = Path(), whole
    if Path(whole).is_absolute():
        root, rest = Path(Path(whole).anchor), whole[len(Path(whole).anchor) :]
    matched = image_folders.match_files(root, rest).values()
    paths = [path for path in matched if path.suffix.lower() in _KINDS]
    if not paths:
        raise InputError(f"--image={pattern}: no image or video fits the pattern")
    return sorted(paths), top


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in video_files.SUFFIXES


def _check_names(named: Sequence[tuple[str, Path]]) -> None:
    taken: dict[str, Path] = {}
    for name, path in named:
        if name in taken:
            raise InputError(f"{path} and {taken[name]}: two images of one name")
        taken[name] = path


def _read(photographs: Sequence[tuple[str, Path]]) -> None:
    """Raises before the first picture is drawn; names all that are damaged."""
    damaged: list[str] = []
    for _, path in photographs:
        try:
            image_files.read_image(path)
        except DamagedFile as error:
            damaged.append(str(error))
    if damaged:
        raise InputError(summarize_damage(damaged))
