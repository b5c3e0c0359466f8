"""Templates of pages that are one file: no script, nothing from elsewhere."""

import base64
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from deeplab_tf.errors import printable

NOTHING = "\N{EN DASH}"  # Where a number is not defined.


def render(package: str, template: str, values: Mapping[str, Any]) -> str:
    """Fills a template; texts in it are escaped, and control characters shown.

    Args:
        package: Whose folder has the template; it may extend `base.html` of this one.
        template: Name of its file.
        values: What it shows.
    """
    loaders = [jinja2.PackageLoader(name, "") for name in (package, __package__)]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
    )
    environment.filters |= {
        "grouped": grouped,
        "percent": percent,
        "size": size,
        "data_url": data_url,
        "color": hex_color,
    }
    return environment.get_template(template).render(values)


def _finalize(value: object) -> object:
    is_plain = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_plain else value


def grouped(number: int) -> str:
    """`1,234,567`."""
    return f"{number:,}"


def percent(share: float | None, digits: int = 1) -> str:
    """`12.3 %` of 0.123; a dash where there is no number."""
    if share is None:
        return NOTHING
    least = 10.0 ** -(digits + 2)
    if 0 < share < least:
        return f"< {100 * least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def size(shape: tuple[int, int]) -> str:
    """Width x height, as cameras say it, of height, width."""
    return f"{shape[1]} \N{MULTIPLICATION SIGN} {shape[0]}"


def data_url(content: bytes, kind: str = "image/jpeg") -> str:
    """A picture within the page."""
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def hex_color(color: tuple[int, int, int]) -> str:
    """`#c0ff33`."""
    return "#{:02x}{:02x}{:02x}".format(*color)
