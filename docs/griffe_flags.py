"""An extension of griffe: fields of settings are documented by the help of their flags.

    output_stride: int = flag("How many pixels apart features are.", 16)

becomes an attribute with that text and that default in the reference of the site.
"""

import ast
from typing import Any

import griffe


class FlagHelp(griffe.Extension):
    """Reads calls of `deeplab_tf.config.fields.flag`, once all modules are read."""

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Takes help and default out of the call."""
        if not str(attr.value).startswith("flag("):
            return
        call = ast.parse(str(attr.value), mode="eval").body
        assert isinstance(call, ast.Call)
        text, default = call.args[:2]
        attr.docstring = griffe.Docstring(_read(text, attr.module), parent=attr)
        attr.value = ast.unparse(default)


def _read(text: ast.expr, module: griffe.Module) -> str:
    """A string, with the constants that it names; of other calls, their source."""
    if isinstance(text, ast.JoinedStr):
        return "".join(_read(part, module) for part in text.values)
    if isinstance(text, ast.FormattedValue):
        return _read(text.value, module)
    if isinstance(text, ast.Name):
        constant = ast.parse(str(module.members[text.id].value), mode="eval")
        return _read(constant.body, module)
    return str(text.value) if isinstance(text, ast.Constant) else ast.unparse(text)
