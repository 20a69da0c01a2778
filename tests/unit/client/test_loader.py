"""APP on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.client.loader import load_app
from penstock.core.errors import ConfigurationError

APP = """from penstock.client.app import Penstock
app = Penstock('found', broker='memory://')
other = Penstock('other', broker='memory://')
"""

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty current directory; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write_file


def fault(path: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_app(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_module_here_is_found_and_app_is_the_default(write: Write) -> None:
    write("shop1.py", APP)
    assert load_app("shop1").name == "found"
    assert load_app("shop1:other").name == "other"


def test_a_module_of_a_package_is_found(write: Write) -> None:
    write("shop2/__init__.py", "")
    write("shop2/tasks.py", APP)
    assert load_app("shop2.tasks:app").name == "found"


def test_a_file_is_found_by_its_path_relative_or_absolute(write: Write) -> None:
    file = write("deep/shop3.py", APP)
    assert load_app("deep/shop3.py").name == "found"
    assert load_app(f"{file}:other").name == "other"


def test_a_file_in_a_package_may_import_its_neighbours(write: Write) -> None:
    write("shop4/__init__.py", "")
    write("shop4/base.py", APP)
    write("shop4/tasks.py", "from .base import app, other\nfrom shop4 import base\n")
    assert load_app("shop4/tasks.py").name == "found"
    assert load_app("shop4/tasks.py") is load_app("shop4.base")
    assert load_app("shop4/__init__.py:base.other").name == "other"


def test_a_dotted_attribute_is_followed(write: Write) -> None:
    write("shop5.py", APP + "class holder:\n    inner = other\n")
    assert load_app("shop5:holder.inner").name == "other"


def test_a_missing_module_is_told_with_the_place_looked_at(write: Write, tmp_path: Path) -> None:
    assert fault("nowhere") == f"there is no module 'nowhere' in {tmp_path} or on the Python path"
    write("shop6/__init__.py", "")
    assert "there is no module 'shop6.nowhere'" in fault("shop6.nowhere:app")


def test_a_missing_file_is_told_by_its_absolute_path(tmp_path: Path) -> None:
    assert fault("nowhere.py:app") == f"there is no file {tmp_path}/nowhere.py"


def test_an_empty_name_is_told() -> None:
    assert "names no app" in fault(":app")


def test_a_missing_attribute_names_an_app_that_is_there(write: Write) -> None:
    write("shop7.py", APP)
    assert fault("shop7:celery") == "shop7 has no 'celery'; did you mean shop7:app?"
    write("shop8.py", "x = 1")
    assert fault("shop8") == "shop8 has no 'app'"


def test_something_else_than_an_app_is_told_by_its_type(write: Write) -> None:
    write("shop9.py", APP + "app = 5\n")
    assert fault("shop9") == "shop9:app is a int, not a Penstock app; did you mean shop9:other?"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("bad1", "\nraise ValueError('two\\nlines')\n", "ValueError: two lines ({file}:2)"),
        (
            "bad2",
            "import no_such_module_here\n",
            "ModuleNotFoundError: No module named 'no_such_module_here' ({file}:1)",
        ),
        ("bad3", "def f(:\n", "SyntaxError: invalid syntax"),
        ("bad4", "import sys\nsys.exit(3)\n", "SystemExit: 3 ({file}:2)"),
        ("bad5", "raise KeyError\n", "KeyError ({file}:1)"),
    ],
)
def test_a_module_that_does_not_import_is_blamed_in_one_line(write: Write, name: str, text: str, told: str) -> None:
    file = write(f"{name}.py", text)
    assert f"{name} cannot be imported: {told.format(file=file)}" in fault(name)


def test_faults_of_the_apps_own_configuration_come_through(write: Write) -> None:
    write("bad6.py", "from penstock.client.app import Penstock\napp = Penstock(brok='x')\n")
    assert fault("bad6") == "bad6: unknown option 'brok'; did you mean broker?"


def test_a_file_whose_name_another_module_has_is_told(write: Write) -> None:
    write("json.py", APP)
    assert "another module is called 'json'" in fault("json.py")
