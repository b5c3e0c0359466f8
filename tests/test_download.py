"""Downloads from a server on this machine, and unpacking beside the archive."""

import hashlib
import io
import shutil
import socket
import zipfile

import numpy as np
import pytest

from deeplab_tf import download
from deeplab_tf.dataset_builders import archives
from deeplab_tf.download import Archive
from deeplab_tf.errors import FlagError, InputError
from tests.serving import Server, tar

PHOTO = np.random.default_rng(0).bytes(300_001)
INSIDE = ("VOCdevkit/VOC2012/a.jpg", PHOTO)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(download.time, "sleep", lambda _: None)


def zipped(*members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


def changed(zip_, *, flags=0, method=0):
    """A zip file whose members claim to be encrypted, or packed in another way."""
    zip_ = bytearray(zip_)
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = zip_.index(mark) + at
        zip_[place : place + 4] = bytes([flags, 0, method, 0])
    return bytes(zip_)


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def archive(server):
    """A tar file on the server that holds VOCdevkit/VOC2012/a.jpg."""
    server.files["/set.tgz"] = content = tar("w:gz", INSIDE)
    return Archive(
        urls=(f"{server.url}/set.tgz",),
        holds="VOCdevkit/VOC2012",
        digest=sha256(content),
    )


def photo_in(folder):
    return (folder / "VOCdevkit/VOC2012/a.jpg").read_bytes()


def test_an_archive_is_fetched_and_unpacked_once(server, archive, tmp_path):
    folder = tmp_path / "data"
    for _ in range(2):
        download.fetch({archive: folder})
        assert photo_in(folder) == PHOTO
    assert server.asked == [("/set.tgz", None)]
    assert sorted(path.name for path in folder.iterdir()) == ["VOCdevkit", "set.tgz"]


def test_what_is_cut_off_goes_on_where_it_was_cut(server, archive, tmp_path):
    server.cut, server.cuts = 100_000, 2
    download.fetch({archive: tmp_path})
    assert photo_in(tmp_path) == PHOTO
    assert server.asked == [
        ("/set.tgz", None),
        ("/set.tgz", "bytes=100000-"),
        ("/set.tgz", "bytes=200000-"),
    ]


def test_a_later_command_goes_on_where_an_earlier_one_was_killed(
    server, archive, tmp_path
):
    (tmp_path / "set.tgz.part").write_bytes(server.files["/set.tgz"][:123_456])
    download.fetch({archive: tmp_path})
    assert photo_in(tmp_path) == PHOTO
    assert server.asked == [("/set.tgz", "bytes=123456-")]


def test_a_server_without_ranges_is_asked_for_all(server, archive, tmp_path):
    server.ranges, part = False, tmp_path / "set.tgz.part"
    part.write_bytes(b"something else")
    download.fetch({archive: tmp_path})
    assert photo_in(tmp_path) == PHOTO


def test_a_part_that_is_whole_is_not_fetched_again(server, archive, tmp_path):
    (tmp_path / "set.tgz.part").write_bytes(server.files["/set.tgz"])
    download.fetch({archive: tmp_path})
    assert photo_in(tmp_path) == PHOTO


def test_without_a_checksum_the_ends_are_compared(server, archive, tmp_path):
    content = server.files["/set.tgz"]
    unknown = Archive(urls=archive.urls, holds=archive.holds)
    (tmp_path / "set.tgz.part").write_bytes(content[:200_000])
    download.fetch({unknown: tmp_path})
    assert (tmp_path / "set.tgz").read_bytes() == content
    assert server.asked == [("/set.tgz", f"bytes={200_000 - (1 << 16)}-")]


@pytest.mark.parametrize("have", [1000, 200_000, 300_500])
@pytest.mark.parametrize("lie", ["beginning", "shifted", "another file", "shorter"])
def test_a_server_that_lies_about_ranges_is_asked_for_all(
    server, archive, tmp_path, have, lie
):
    """None of its answers is joined to what is there of a file without a checksum."""
    content = server.files["/set.tgz"]
    unknown = Archive(urls=archive.urls, holds=archive.holds)
    (tmp_path / "set.tgz.part").write_bytes(content[:have])
    if lie == "another file":
        (tmp_path / "set.tgz.part").write_bytes(content[::-1][:have])
    elif lie == "shorter":  # The server's file is not the one that was begun.
        (tmp_path / "set.tgz.part").write_bytes(content + bytes(1 << 17))
    else:
        server.lie = -(10**6) if lie == "beginning" else 7
    download.fetch({unknown: tmp_path})
    assert (tmp_path / "set.tgz").read_bytes() == content
    assert server.asked[-1] == ("/set.tgz", None)


def test_a_range_that_is_told_to_be_another_is_not_taken(server, archive, tmp_path):
    (tmp_path / "set.tgz.part").write_bytes(server.files["/set.tgz"][:1000])
    server.told = "bytes 0-300/301"
    download.fetch({archive: tmp_path})
    assert server.asked == [("/set.tgz", "bytes=1000-"), ("/set.tgz", None)]
    assert photo_in(tmp_path) == PHOTO


def test_cuts_without_progress_end_it_and_keep_what_came(server, archive, tmp_path):
    server.cut, server.cuts = 0, 99
    (tmp_path / "set.tgz.part").write_bytes(server.files["/set.tgz"][:1000])
    size = len(server.files["/set.tgz"])
    message = rf"cut off at 1000 of {size} bytes\nfetch .*; the same command goes on"
    with pytest.raises(InputError, match=message):
        download.fetch({archive: tmp_path})
    assert len(server.asked) == 5
    assert (tmp_path / "set.tgz.part").stat().st_size == 1000


def test_a_wrong_checksum_unpacks_nothing(server, archive, tmp_path):
    server.files["/set.tgz"] = other = tar("w:gz", (INSIDE[0], b"x"))
    message = f"set.tgz: its SHA256 is {sha256(other)[7:]}, not {archive.digest[7:]}"
    with pytest.raises(InputError, match=message):
        download.fetch({archive: tmp_path})
    assert not (tmp_path / "VOCdevkit").exists()


def test_a_checksum_that_nobody_published_is_told(server, archive, tmp_path, caplog):
    unknown = Archive(urls=archive.urls, holds=archive.holds)
    download.fetch({unknown: tmp_path})
    assert f"SHA-256 {archive.digest[7:]}; nobody published one" in caplog.text


def test_a_mirror_is_asked_where_the_first_place_fails(server, archive, tmp_path):
    urls = (f"{server.url}/gone/set.tgz", *archive.urls)
    mirrored = Archive(urls=urls, holds=archive.holds, digest=archive.digest)
    download.fetch({mirrored: tmp_path})
    assert [path for path, _ in server.asked] == ["/gone/set.tgz", "/set.tgz"]


def test_files_that_are_no_archives_are_only_checked(server, tmp_path):
    server.files["/labels.txt"] = b"1: accordion\n"
    names = Archive(
        urls=(f"{server.url}/labels.txt",), digest=sha256(b"1: accordion\n")
    )
    download.fetch({names: tmp_path})
    assert (tmp_path / "labels.txt").read_bytes() == b"1: accordion\n"


def test_without_network_each_file_has_a_line(archive, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    voc = Archive(urls=(f"{nowhere}/voc.tar",), digest="md5:6cd6")
    sbd = Archive(urls=(f"{nowhere}/sbd.tgz",))
    with pytest.raises(InputError) as caught:
        download.fetch({voc: tmp_path / "a", sbd: tmp_path / "b"})
    end = "; the same command goes on from there"
    assert str(caught.value).splitlines() == [
        f"{nowhere}/voc.tar: Connection refused",
        f"fetch {nowhere}/voc.tar by hand and put it at {tmp_path}/a/voc.tar (md5 6cd6)"
        + end,
        f"fetch {nowhere}/sbd.tgz by hand and put it at {tmp_path}/b/sbd.tgz" + end,
    ]
    assert caught.value.exit_code == 1


def test_what_was_fetched_by_hand_is_unpacked(server, archive, tmp_path):
    (tmp_path / "set.tgz").write_bytes(server.files["/set.tgz"])
    download.fetch({archive: tmp_path})
    assert photo_in(tmp_path) == PHOTO
    assert not server.asked


def test_what_was_unpacked_in_part_is_unpacked_again(server, archive, tmp_path):
    download.fetch({archive: tmp_path})
    (tmp_path / "VOCdevkit/VOC2012/a.jpg").write_bytes(PHOTO[:10])
    (tmp_path / ".set.tgz.unpacking").touch()  # As a killed command leaves it.
    download.fetch({archive: tmp_path})
    assert photo_in(tmp_path) == PHOTO


def test_a_disk_that_is_too_small_is_told_before(
    server, archive, tmp_path, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)._replace(free=400_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"set\.tgz and what it holds need 0\.0 GB"):
        download.fetch({archive: tmp_path})
    assert not list(tmp_path.iterdir())


def test_a_flag_tells_where_archives_are_unpacked(tmp_path):
    layout = "VOCdevkit/VOC2012/JPEGImages"
    given = str(tmp_path / layout)
    assert archives.unpack_folder("image_folder", given, layout) == tmp_path
    assert str(archives.unpack_folder("image_folder", f"./{layout}", layout)) == "."
    with pytest.raises(FlagError, match=r"--image_folder=photos: with --download it"):
        archives.unpack_folder("image_folder", "photos", layout)


KNOWN = [value for value in vars(archives).values() if isinstance(value, Archive)]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.urls[0])
def test_published_archives_are_described_as_they_are_used(known):
    assert all(url.startswith("http") for url in known.urls)
    assert {url.rsplit("/", 1)[1] for url in known.urls} == {known.name}
    if known.digest:
        kind, digest = known.digest.split(":")
        assert len(digest) == 2 * hashlib.new(kind).digest_size
        int(digest, 16)


# Unpacking


@pytest.mark.parametrize(
    "content", [tar("w", INSIDE), tar("w:gz", INSIDE), zipped(INSIDE)]
)
def test_an_archive_lands_beside_itself(tmp_path, content):
    archive = tmp_path / "set"
    archive.write_bytes(content)
    assert not download.is_unpacked(archive, "VOCdevkit/VOC2012")
    download.unpack(archive, "VOCdevkit/VOC2012")
    assert (tmp_path / "VOCdevkit/VOC2012/a.jpg").read_bytes() == PHOTO
    assert download.is_unpacked(archive, "VOCdevkit/VOC2012")
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
        (changed(zipped(INSIDE), flags=1), "it is encrypted; unpack it by hand in "),
        (changed(zipped(INSIDE), method=99), "a damaged archive"),
        (zipped(("VOCdevkit", b"x"), INSIDE), "a damaged archive"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, content, message):
    archive = tmp_path / "data" / "set.tgz"
    archive.parent.mkdir()
    archive.write_bytes(content)
    with pytest.raises(InputError, match=rf"set\.tgz: {message}"):
        download.unpack(archive, "VOCdevkit/VOC2012")
    assert not download.is_unpacked(archive, "VOCdevkit/VOC2012")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("make", [lambda *m: tar("w", *m), zipped])
def test_a_link_that_lies_there_is_not_written_through(tmp_path, make):
    archive, outside = tmp_path / "data" / "set", tmp_path / "outside"
    archive.parent.mkdir()
    outside.mkdir()
    (archive.parent / "VOCdevkit").symlink_to(outside)
    archive.write_bytes(make(INSIDE))
    with pytest.raises(InputError, match="it would write elsewhere"):
        download.unpack(archive, "VOCdevkit/VOC2012")
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_part_is_not_followed(server, archive, tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "set.tgz.part").symlink_to(tmp_path / "precious")
    download.fetch({archive: tmp_path})
    assert photo_in(tmp_path) == PHOTO
    assert (tmp_path / "precious").read_text() == "precious"
