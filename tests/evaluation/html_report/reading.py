"""A reader of pages that checks what anyone may rely on."""

import html.parser
import itertools
import re

_VOID = {"meta", "img", "br", "link", "input", "hr", "base", "wbr"}


class Page(html.parser.HTMLParser):
    """A page whose tags are balanced.

    Attributes:
        tags: Name and attributes, in order.
        texts: What is read, without style.
        rows: Cells of each table's rows, by class of the table.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.rows = [], [], {}
        self._open, self._table = [], None
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = self.rows.setdefault(attributes.get("class", ""), [])
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open, tag
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.texts.append(data)
        if "td" in self._open or "th" in self._open:
            self._table[-1][-1] += data.strip()

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def check(text):
    """Reads a page; asserts that it needs nothing else and can be read by anyone."""
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert page.named("html") == [{"lang": "en"}]
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for place in ("src", "href", "action", "data", "xlink:href"):
            assert re.match(r"data:image/|#", attributes.get(place, "#")), attributes
    assert not re.search(r"url\(|@import|https?:", re.sub('base64,[^"]*', "", text))
    assert all(image.get("alt") for image in page.named("img"))
    for drawing in page.named("svg"):
        if drawing.get("aria-hidden") != "true":
            assert drawing["role"] == "img"
            assert drawing["aria-label"]
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert all("scope" in head for head in page.named("th"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.named("a"):
        assert link["href"][1:] in ids, link
    assert len(text.encode()) < 5_000_000
    return page
