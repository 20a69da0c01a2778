"""An interrupt waits for the end of code that must not be torn apart."""

from __future__ import annotations

import threading

import pytest

from penstock.core.undisturbed import inside, owed, undisturbed


class Struck(BaseException):
    pass


def test_an_interrupt_that_is_owed_is_raised_at_the_end() -> None:
    done: list[str] = []
    with pytest.raises(Struck):
        strike_inside(done)
    assert done == ["all of it"]
    assert not inside
    assert not owed


def strike_inside(done: list[str]) -> None:
    with undisturbed():
        owed[threading.get_ident()] = Struck
        done.append("all of it")


def test_without_one_nothing_happens_and_errors_pass() -> None:
    with undisturbed():
        assert inside == {threading.get_ident()}
    with pytest.raises(ValueError, match="its own"), undisturbed():
        raise ValueError("its own")
    assert not inside


def test_each_thread_is_undisturbed_for_itself() -> None:
    with undisturbed():
        thread = threading.Thread(target=lambda: found.append(threading.get_ident() in inside))
        found: list[bool] = []
        thread.start()
        thread.join()
    assert found == [False]
