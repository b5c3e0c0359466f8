"""Archives: what they hold lands beside them, and nowhere else."""

import io
import tarfile
import zipfile

import pytest

from deeplab_tf.dataset_builders import unpacking
from deeplab_tf.errors import InputError


def tar(mode, *members):
    """A tar file of (name, content), or of links, whose content is a text."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                file.addfile(info)
            else:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped(*members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


PHOTO = bytes(range(256)) * 999
INSIDE = ("VOCdevkit/VOC2012/a.jpg", PHOTO)


@pytest.mark.parametrize(
    "content", [tar("w", INSIDE), tar("w:gz", INSIDE), zipped(INSIDE)]
)
def test_an_archive_lands_beside_itself(tmp_path, content):
    archive = tmp_path / "set"
    archive.write_bytes(content)
    assert not unpacking.is_done(archive, "VOCdevkit/VOC2012")
    unpacking.unpack(archive, "VOCdevkit/VOC2012")
    assert (tmp_path / "VOCdevkit/VOC2012/a.jpg").read_bytes() == PHOTO
    assert unpacking.is_done(archive, "VOCdevkit/VOC2012")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["VOCdevkit", "set"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar("w", ("../outside.txt", b"x")), "it would write elsewhere"),
        (tar("w", ("VOCdevkit", "/tmp"), INSIDE), "it would write elsewhere"),
        (tar("w", ("VOCdevkit", "../.."), INSIDE), "it would write elsewhere"),
        (zipped(("a/../../outside.txt", b"x")), "it would write elsewhere"),
        (zipped(("/outside.txt", b"x")), "it would write elsewhere"),
        (zipped(("a\\..\\..\\outside.txt", b"x")), "it would write elsewhere"),
        (tar("w", ("other/a.jpg", b"x")), "it holds no VOCdevkit/VOC2012"),
        (b"<html>moved</html>", "a damaged archive"),
        (tar("w", INSIDE)[:200_000], "a damaged archive"),
        (tar("w:gz", INSIDE)[:-40], "a damaged archive"),
        (tar("w:gz", INSIDE)[:400] + b"x" * 400, "a damaged archive"),
        (zipped(INSIDE).replace(PHOTO, PHOTO[::-1]), "a damaged archive"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, content, message):
    archive = tmp_path / "data" / "set.tgz"
    archive.parent.mkdir()
    archive.write_bytes(content)
    with pytest.raises(InputError, match=rf"set\.tgz: {message}"):
        unpacking.unpack(archive, "VOCdevkit/VOC2012")
    assert not unpacking.is_done(archive, "VOCdevkit/VOC2012")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
