"""The short form of `make soak`: half a minute of steady load on one broker, judged by the same bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.run import Soak


@pytest.mark.alone
def test_nothing_grows_under_steady_load(tmp_path: Path) -> None:
    with Soak("redis", tmp_path, rate=20) as soak:
        soak.watch(30)
        courses = {course.name: course for course in soak.verdict(warm_up=10)}
        assert not soak.failures, f"{soak.failures}\n{soak.launched['worker'].printed()}"
    assert not [str(course) for course in courses.values() if course.fault]
    # what was watched: every process, its files and connections, and what the server holds
    assert {f"{what} {who}" for what in ("memory", "files") for who in ("API", "users", "worker.3")} <= set(courses)
    assert courses["connections Redis"].last > 0
    assert courses["rows penstock:task:*"].last > 100
