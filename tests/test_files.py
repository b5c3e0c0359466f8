"""What commands write is checked before, and whole after."""

import os
from pathlib import Path

import pytest

from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable, write_whole


def test_a_folder_that_may_not_be_written_is_told_before_hours_are_spent(
    tmp_path, monkeypatch
):
    assert check_writable("run", str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=f"--run=.*: {tmp_path} may not be written"):
        check_writable("run", str(tmp_path / "a" / "b"))


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_whole(path, "old")

    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, "new")
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["config.json"]
