"""The description for an index page: the README, whose files are not there."""

import re
from pathlib import Path

import setuptools

_PICTURE = re.compile(r"^!\[[^]]*\]\((?!https?:)[^)]*\)\n+", re.MULTILINE)
_LINK = re.compile(r"\[([^]]+)\]\((?!https?:|#)([^)#]+)[^)]*\)")


def description() -> str:
    """The README without pictures of a checkout, and with names in place of links."""
    text = _PICTURE.sub("", Path(__file__).with_name("README.md").read_text())
    return _LINK.sub(_name_file, text)


def _name_file(link: re.Match[str]) -> str:
    text, path = link.groups()
    return text if path in text else f"{text} (`{path}`)"


if __name__ == "__main__":
    setuptools.setup(
        long_description=description(),
        long_description_content_type="text/markdown",
    )
