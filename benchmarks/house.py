"""Lines of code, function lengths and import graph: the table of `docs/design.md`.

    python benchmarks/house.py            # of this checkout
    python benchmarks/house.py ../other   # of another one, as of an older commit

Tests are not counted. A line of code has more than a comment, a docstring or an import;
the length of a function leaves its docstring out. An arrow is a module of the package
that imports another, once, wherever in the file, but not for type checkers alone.
"""

import argparse
import ast
import collections
import dataclasses
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "deeplab_tf"
_ROOTS = (PACKAGE, "datasets", "benchmarks", "docs", "examples")
_UNSEEN = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT),
    *(tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING),
}
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef


@dataclasses.dataclass
class Count:
    """What a file, or several, hold."""

    files: int = 0
    lines: int = 0
    code: int = 0
    imports: int = 0
    docstrings: int = 0
    functions: list[int] = dataclasses.field(default_factory=list)

    def add(self, other: "Count") -> None:
        """Adds another count to this one."""
        for field in dataclasses.fields(self):
            total = getattr(self, field.name) + getattr(other, field.name)
            setattr(self, field.name, total)

    def cells(self) -> list[str]:
        """The columns of its row."""
        numbers = (self.files, self.lines, self.code, self.imports, self.docstrings)
        lengths = sorted(self.functions) or [0]
        ninetieth = lengths[int(0.9 * (len(lengths) - 1))]
        spread = f"{statistics.median(lengths):.0f} / {ninetieth} / {lengths[-1]}"
        return [*(f"{n:,}" for n in (*numbers, len(self.functions))), spread]


def count(text: str) -> Count:
    """Lines of each kind, and the length of each function, of one module."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    documented = [node for node in nodes if isinstance(node, _Documented)]
    docstrings = {line for node in documented for line in _docstring(node)}
    imports = {
        line
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for line in _lines(node)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    seen = {
        line
        for token in tokens
        if token.type not in _UNSEEN
        for line in range(token.start[0], token.end[0] + 1)
    }
    lengths = [
        len(_lines(node)) - len(_docstring(node))
        for node in documented
        if isinstance(node, ast.FunctionDef)
    ]
    return Count(
        files=1,
        lines=len(text.splitlines()),
        code=len(seen - docstrings - imports),
        imports=len(imports),
        docstrings=len(docstrings),
        functions=lengths,
    )


def _lines(node: ast.stmt | ast.expr) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _docstring(node: _Documented) -> range:
    return _lines(node.body[0]) if ast.get_docstring(node, clean=False) else range(0)


def arrows(root: Path) -> set[tuple[str, str]]:
    """Pairs of modules of the package, the first of which imports the second."""
    paths = {_module(path.relative_to(root)): path for path in _files(root, PACKAGE)}
    return {
        (module, imported)
        for module, path in paths.items()
        for name in _imports(ast.parse(path.read_text()))
        # `from deeplab_tf.a import b`: a module b, or a name in a.
        if (imported := name if name in paths else name.rpartition(".")[0]) in paths
        and imported != module
    }


def in_circles(pairs: set[tuple[str, str]]) -> list[str]:
    """Modules that import themselves through others."""
    imported = collections.defaultdict(set)
    for module, other in pairs:
        imported[module].add(other)
    circular = []
    for module in sorted(imported):
        reached, waiting = set(), list(imported[module])
        while waiting:
            if (other := waiting.pop()) not in reached:
                reached.add(other)
                waiting.extend(imported.get(other, ()))
        if module in reached:
            circular.append(module)
    return circular


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in _walk_what_runs(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _walk_what_runs(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, but for what type checkers alone read."""
    yield node
    if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
        for child in ast.iter_child_nodes(node):
            yield from _walk_what_runs(child)


def _files(root: Path, folder: str) -> list[Path]:
    return sorted((root / folder).rglob("*.py"))


def _parts(module: str, depth: int) -> str:
    """`deeplab_tf.a.b.c` -> `a/b` at depth 2; a module itself is no part."""
    return "/".join(module.split(".")[1:-1][:depth])


def report(root: Path) -> Iterator[str]:
    """Tables in Markdown."""
    head = ["", "files", "lines", "code", "imports", "docstrings", "functions"]
    yield _row([*head, "length: median / 90 % / longest"])
    yield _row(["---"] * 8)
    total = Count()
    for folder in (*_ROOTS, "."):
        paths = sorted(root.glob("*.py")) if folder == "." else _files(root, folder)
        part = Count()
        for path in paths:
            part.add(count(path.read_text()))
        total.add(part)
        yield _row([folder, *part.cells()])
    yield _row(["all", *total.cells()])
    yield ""
    pairs = arrows(root)
    modules = [_module(path.relative_to(root)) for path in _files(root, PACKAGE)]
    yield _row(["package", "modules", "arrows inside", "arrows out"])
    yield _row(["---"] * 4)
    for depth in (1, 2):
        sizes = collections.Counter(_parts(module, depth) for module in modules)
        for name, size in sorted(sizes.items()):
            if depth > 1 and "/" not in name:
                continue
            ends = [
                (_parts(a, depth) == name, _parts(b, depth) == name) for a, b in pairs
            ]
            inside = sum(a and b for a, b in ends)
            out = sum(a and not b for a, b in ends)
            yield _row([name or PACKAGE, *map(str, (size, inside, out))])
    yield _row(["all", str(len(modules)), str(len(pairs)), ""])
    yield ""
    yield f"modules in import circles: {', '.join(in_circles(pairs)) or 'none'}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1])
    for line in report(parser.parse_args().root):
        sys.stdout.write(line + "\n")
