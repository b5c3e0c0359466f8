"""Text files that users give: any editor's, and one line where they cannot be read."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import pytest

from deeplab_tf.errors import InputError
from deeplab_tf.text_files import explain, read_json, read_lines, read_text, to_record


@pytest.mark.parametrize(
    "content",
    [
        "straße\ncafé\n".encode(),
        "straße\r\ncafé\r\n".encode(),
        "straße\rcafé".encode(),
        "\ufeffstraße\ncafé\n".encode(),
        "\ufeff  straße \r\n\tcafé\r\n\r\n".encode(),
    ],
)
def test_a_text_of_any_editor_in_utf8_has_the_same_lines(tmp_path, content):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    assert [line for line in read_lines(path) if line] == ["straße", "café"]


def test_a_line_ends_where_an_editor_ends_it_and_nowhere_else(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("a\u2028b\x0cc\x85d\n".encode())
    assert read_lines(path) == ["a\u2028b\x0cc\x85d"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\nb\n".encode("utf-16"), ": a text in UTF-16; save it as UTF-8"),
        ("a\nb\n".encode("utf-16-le"), ": a text in UTF-16; save it as UTF-8"),
        ("\ufeffä\n".encode("utf-16-be"), ": a text in UTF-16; save it as UTF-8"),
        ("a\n".encode("utf-32"), ": a text in UTF-16; save it as UTF-8"),
        (
            "ground\ncaf\xe9\n".encode("latin-1"),
            " line 2: 'café' is not in UTF-8, but in an older encoding, as Latin-1; "
            "save it as UTF-8",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ": not a text file"),
        (b"PK\x03\x04 a zip", ": not a text file"),
        (b"\x1f\x8b\x08\xff", ": not a text file"),
    ],
)
def test_what_is_no_text_in_utf8_is_told_with_what_it_is(tmp_path, content, said):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    if b"PK" in content:
        path.write_bytes(content + b"\xff")
    with pytest.raises(InputError) as raised:
        read_text(path)
    assert str(raised.value) == f"{path}{said}"


def test_a_file_that_is_not_there_is_told_as_it_was_given(tmp_path):
    with pytest.raises(InputError, match=r"^--train_list=t.txt: no such file$"):
        read_text(tmp_path / "t.txt", "--train_list=t.txt")
    with pytest.raises(InputError, match=r"a folder, not a file$"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[1]", "a list, where an object is needed"),
        ("3", "3, where an object is needed"),
        ("null", "null, where an object is needed"),
        ('"text"', "a text, where an object is needed"),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
        ('{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_json_of_another_shape_is_one_line(tmp_path, content, why):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(InputError) as raised:
        read_json(path, "the settings of a run")
    assert str(raised.value).startswith(f"{path}: not the settings of a run ({why}")


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "a.json").write_bytes("\ufeff[1]".encode())
    assert read_json(tmp_path / "a.json", "a list", list) == [1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    name: str
    count: int = 0
    rate: float | None = None
    kind: Literal["a", "b"] = "a"
    colors: tuple[tuple[int, int, int], ...] = ()
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)


def test_a_record_of_json_has_tuples_for_lists():
    facts = {"name": "x", "rate": 1, "colors": [[1, 2, 3]], "sizes": {"train": 4}}
    assert to_record(Facts, facts) == Facts(
        name="x", rate=1, colors=((1, 2, 3),), sizes={"train": 4}
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": 3}, '"name" is 3'),
        ({"count": True}, '"count" is true'),
        ({"count": 1.5}, '"count" is 1.5'),
        ({"rate": "fast"}, '"rate" is "fast"'),
        ({"kind": "c"}, '"kind" is "c"'),
        ({"colors": [[1, 2]]}, '"colors" is [[1, 2]]'),
        ({"colors": {"a": 1}}, '"colors" is {"a": 1}'),
        ({"sizes": [4]}, '"sizes" is [4]'),
        ({"sizes": {"train": None}}, '"sizes" is {"train": null}'),
        ({"other": 1}, '"other" is unknown to this version of deeplab_tf'),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path, change, why):
    with pytest.raises(InputError) as raised, explain(tmp_path, "facts"):
        to_record(Facts, {"name": "x"} | change)
    assert str(raised.value) == f"{tmp_path}: not facts ({why})"
