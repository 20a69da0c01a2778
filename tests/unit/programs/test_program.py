"""What is found out about a program before its first run: each fault in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.core.errors import ConfigurationError
from penstock.programs.program import Limits, checked_folder, environment, find, texts


def script(folder: Path, text: str, mode: int = 0o755) -> str:
    path = folder / "work"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_name_is_looked_up_on_the_path_and_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    own = script(tmp_path, "#!/bin/sh\n")
    assert find("sh").endswith("/sh")
    assert find("work", path=str(tmp_path)) == own
    assert find("./work", folder=str(tmp_path)) == f"{tmp_path}/./work"


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("#!/bin/sh\n", 0o644, "is not executable; chmod +x"),
        ("echo hello\n", 0o755, "is a script without a #! line"),
        ("#!/no/such/python\n", 0o755, "its #! line names '/no/such/python', which is not there"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(tmp_path: Path, text: str, mode: int, said: str) -> None:
    path = script(tmp_path, text, mode)
    with pytest.raises(ConfigurationError) as caught:
        find(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_program_and_a_folder() -> None:
    with pytest.raises(ConfigurationError, match="there is no program 'no-such-thing' on the PATH"):
        find("no-such-thing")
    with pytest.raises(ConfigurationError, match="no such file"):
        find("/no/such/file")
    with pytest.raises(ConfigurationError, match="is a folder"):
        find("/usr/bin/")
    with pytest.raises(ConfigurationError, match="there is no folder /no/such"):
        checked_folder("/no/such")


def test_the_environment_is_an_allow_list() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "SECRET": "x", "AWS_KEY": "k", "AWS_ID": "i"}
    assert environment(["AWS_*"], {"EXTRA": "1"}, environ) == {
        "PATH": "/bin", "LC_ALL": "C", "AWS_KEY": "k", "AWS_ID": "i", "EXTRA": "1"
    }  # fmt: skip
    assert environment((), None, environ) == {"PATH": "/bin", "LC_ALL": "C"}
    assert environment(None, None, environ) == environ


def test_arguments_and_limits_are_checked() -> None:
    assert texts(["a", "b"]) == ("a", "b")
    for wrong in ("a b", [], ["a", 1], ["a\0b"]):
        with pytest.raises(ConfigurationError):
            texts(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="memory=-1") as caught:
        Limits(memory=-1, nice=20)
    assert "nice=20" in str(caught.value)
