"""The house rules that a machine can check, beyond what ruff, mypy and import-linter know."""

from __future__ import annotations

import ast
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import penstock

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "penstock"

#: The most lines a module, class or function may have (docstrings of functions not counted), and the deepest nesting.
BUDGETS = {"module": 500, "class": 350, "function": 50, "nesting": 3}

#: What is over its budget because keeping it would make the code worse: "<kind> <path>[::<name>]" → the reason.
OVER_BUDGET: dict[str, str] = {}

BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef, ast.Lambda)


def sources(*trees: Path) -> Iterator[tuple[str, str, ast.Module]]:
    """Path below the root, text and syntax tree of every module in these trees."""
    for tree in trees:
        for path in sorted(tree.rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            yield str(path.relative_to(ROOT)), text, ast.parse(text)


def length(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a class; lines of a function without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if isinstance(node, FUNCTIONS) and ast.get_docstring(node) is not None:
        docstring = node.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def nesting(node: ast.AST) -> int:
    """How many blocks stand inside one another; an elif is no deeper than its if, an inner function counts apart."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            continue
        elif_of_node = isinstance(node, ast.If) and isinstance(child, ast.If) and child.col_offset == node.col_offset
        deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not elif_of_node))
    return deepest


def measures(path: str, text: str, tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Kind, place and size of everything in one module that has a budget."""
    yield "module", path, len(text.splitlines())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield "class", f"{path}::{node.name}", length(node)
        elif isinstance(node, FUNCTIONS):
            yield "function", f"{path}::{node.name}", length(node)
            yield "nesting", f"{path}::{node.name}", nesting(node)


def broad(caught: ast.expr | None) -> bool:
    """Does this except clause (or argument of suppress) catch nearly everything?"""
    if isinstance(caught, ast.Tuple):
        return any(broad(one) for one in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"})


def broad_catches(tree: ast.Module) -> Iterator[int]:
    """The lines at which nearly every exception is caught."""
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=caught) if broad(caught):
                yield node.lineno
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress")) if any(map(broad, node.args)):
                yield node.lineno


def test_modules_classes_and_functions_keep_to_their_budgets() -> None:
    over = {
        f"{kind} {place}": size
        for source in sources(PACKAGE, ROOT / "examples")
        for kind, place, size in measures(*source)
        if size > BUDGETS[kind]
    }
    assert {name: size for name, size in over.items() if name not in OVER_BUDGET} == {}
    assert OVER_BUDGET.keys() - over.keys() == set(), "these keep to their budget now and need no exception"


def test_most_modules_and_functions_are_far_below_their_budgets() -> None:
    sizes: dict[str, list[int]] = {kind: [] for kind in BUDGETS}
    for source in sources(PACKAGE):
        for kind, _, size in measures(*source):
            sizes[kind].append(size)
    assert statistics.median(sizes["module"]) <= 120
    assert statistics.quantiles(sizes["function"], n=10)[-1] <= 20, "nine functions in ten have at most 20 lines"


def test_every_public_name_exists() -> None:
    names = getattr(penstock, "__all__", ())
    assert [name for name in names if not hasattr(penstock, name)] == []
    assert len(set(names)) == len(names)


def test_nothing_inside_imports_the_package_root() -> None:
    offences = [
        f"{path}:{node.lineno}"
        for path, _, tree in sources(PACKAGE)
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and node.module == "penstock")
        or (isinstance(node, ast.Import) and any(alias.name == "penstock" for alias in node.names))
    ]
    assert offences == []


def test_a_broad_except_says_why_in_a_comment_on_its_line_or_the_line_above() -> None:
    offences = []
    for path, text, tree in sources(PACKAGE, ROOT / "examples"):
        lines = ["", *text.splitlines()]
        offences += [
            f"{path}:{number}"
            for number in broad_catches(tree)
            if "#" not in lines[number] and not lines[number - 1].strip().startswith("#")
        ]
    assert offences == []


def test_no_file_names_a_package_registry() -> None:
    # Written in pieces, so that this file does not name them either.
    hosts = [".".join(parts).encode() for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
    made = {"__pycache__", "site", "dist", "build"}
    offences = []
    for folder, subfolders, files in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if name not in made and (name == ".ci" or name[0] != ".")]
        for name in files:
            content = Path(folder, name).read_bytes()
            offences += [f"{Path(folder, name).relative_to(ROOT)}: {host!r}" for host in hosts if host in content]
    assert offences == []
