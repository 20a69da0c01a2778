"""The dashboard on RabbitMQ and PostgreSQL, in the same browser: every page, and every action."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.acceptance.test_dashboard import EveryAction, Site, furnished, pages_of, quiet, running

__all__ = ["furnished", "quiet"]  # fixtures


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, rabbitmq_server: servers.RabbitMQ, postgres_server: servers.Postgres
) -> Iterator[Site]:
    places = {"PENSTOCK_BROKER_URL": rabbitmq_server.fresh(), "PENSTOCK_RESULT_BACKEND": postgres_server.fresh()}
    with running(tmp_path_factory.mktemp("dashboard"), places) as site:
        yield site


def test_every_page_is_there(site: Site, furnished: dict[str, str]) -> None:
    page = site.context().new_page()
    for path in pages_of(furnished):
        answer = page.goto(f"{site.url}/ui{path}")
        assert answer is not None
        assert answer.status == (404 if path == "/nowhere" else 200), path
        assert page.locator("h1").count() == 1, path
    page.goto(f"{site.url}/ui/tasks/{furnished['noisy']}")
    assert "of many" in page.inner_text("#log")
    page.goto(f"{site.url}/ui/tasks/{furnished['failed']}")
    assert "ValueError" in page.inner_text("#traceback")


@pytest.mark.parametrize("script", [True], ids=["with script"])
class TestEveryAction(EveryAction):
    """As on SQLite, without the second look at pages that have no script."""
