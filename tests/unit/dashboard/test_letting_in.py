"""Who gets in: sessions, scopes, forms of other sites; and what the pages allow a browser."""

from __future__ import annotations

import pytest

from tests.unit.dashboard.front import Front

SECRET = "a-secret-of-the-test"
PAGES = ("", "/tasks", "/queues", "/workers", "/schedules", "/dead", "/submit", "/submit/add", "/bulk/retry")


async def signed_in(front: Front, secret: str = SECRET) -> str:
    return (await front.send("/login", key=secret, next="/queues")).headers["location"]


class TestSignIn:
    async def test_without_keys_everybody_may_look(self) -> None:
        async with Front() as front:
            for path in PAGES:
                await front.page(path)

    async def test_every_page_asks_for_a_key_once_and_leads_back(self) -> None:
        async with Front(api_keys=(SECRET,)) as front:
            for path in PAGES:
                answer = await front.client.get(f"/ui{path}")
                assert answer.status_code == 303
                assert answer.headers["location"].startswith("/ui/login?next=")
            assert (await front.client.get("/ui/live")).status_code == 401
            assert await signed_in(front) == "/ui/queues"
            for path in PAGES:
                await front.page(path)

    async def test_the_cookie_is_for_the_dashboard_only_and_holds_no_secret(self) -> None:
        async with Front(api_keys=(SECRET,)) as front:
            answer = await front.send("/login", key=SECRET)
            cookie = answer.headers["set-cookie"]
            assert SECRET not in cookie
            assert {"HttpOnly", "SameSite=Strict", "Path=/ui"} <= set(cookie.split("; "))
            assert "Secure" not in cookie
            headers = {"origin": "http://localhost", "x-forwarded-proto": "https"}
            answer = await front.client.post("/ui/login", data={"key": SECRET}, headers=headers)
            assert "Secure" in answer.headers["set-cookie"]

    async def test_a_wrong_key_is_told_at_its_field(self) -> None:
        async with Front(api_keys=(SECRET,)) as front:
            answer = await front.send("/login", 401, key="something-else-entirely")
            assert "not known" in answer.text
            assert 'aria-invalid="true"' in answer.text
            assert "set-cookie" not in answer.headers

    async def test_a_session_ends_with_its_time_its_key_and_its_sign_out(self) -> None:
        async with Front(api_keys=(SECRET,)) as front:
            await signed_in(front)
            await front.page("/queues")
            front.clock.now += 8 * 86400
            assert (await front.client.get("/ui/queues")).status_code == 303
            await signed_in(front)
            token = front.client.cookies["penstock-session"]
            async with Front(api_keys=("another-secret-here", SECRET)) as same:
                same.clock.now = front.clock.now
                same.client.cookies.set("penstock-session", token, path="/ui")
                await same.page("/queues")
            async with Front(api_keys=("another-secret-here",)) as other:
                other.clock.now = front.clock.now
                other.client.cookies.set("penstock-session", token, path="/ui")
                assert (await other.client.get("/ui/queues")).status_code == 303
            await front.send("/logout")
            assert (await front.client.get("/ui/queues")).status_code == 303

    @pytest.mark.parametrize(
        "token", ["", "1.2.3", "99999999999.aa.bb", "99999999999999.aa.bb", "x" * 5000, "\xff.\xff"]
    )
    async def test_a_made_up_session_is_none(self, token: str) -> None:
        async with Front(api_keys=(SECRET,)) as front:
            assert front.api.site.keyring.holder_of_session(token, 0.0) is None

    @pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/x", "/\r\nset-cookie: a=b", "\\evil"])
    async def test_it_leads_nowhere_else(self, wanted: str) -> None:
        async with Front(api_keys=(SECRET,)) as front:
            answer = await front.send("/login", key=SECRET, next=wanted)
            assert answer.headers["location"].startswith("/ui")
            assert not answer.headers["location"].removeprefix("/ui").startswith(("\\", "."))


class TestScopes:
    async def test_they_decide_which_buttons_exist_and_the_server_enforces_them(self) -> None:
        async with Front(api_keys=(f"{SECRET}=read", "all-of-the-scopes")) as front:
            await signed_in(front, "all-of-the-scopes")
            key = {"x-api-key": "all-of-the-scopes"}
            answer = await front("POST", "/tasks", json={"task": "add", "args": [1, 2]}, headers=key)
            task_id = answer.json()["task_id"]
            with_all = [await front.page(path) for path in ("/queues", f"/tasks/{task_id}", "/tasks")]
            await front.send("/logout")
            await signed_in(front)
            with_read = [await front.page(path) for path in ("/queues", f"/tasks/{task_id}", "/tasks")]
            for more, less in zip(with_all, with_read, strict=True):
                assert len(less) < len(more)
                assert '<form method="post" action="/ui/logout">' in less
                assert less.count('method="post"') == 1
                assert "/ui/bulk" not in less
            for path in (f"/tasks/{task_id}/cancel", "/queues/default/pause", "/queues/default/purge", "/submit/add"):
                answer = await front.send(path, 403)
                assert "the key has read" in answer.text
            assert (await front("GET", f"/tasks/{task_id}", headers=key)).json()["status"] == "PENDING"
            assert not (await front("GET", "/queues", headers=key)).json()["items"][0]["paused"]

    async def test_a_key_that_may_not_look_is_told_so(self) -> None:
        async with Front(api_keys=(f"{SECRET}=submit",)) as front:
            answer = await front.send("/login", 403, key=SECRET)
            assert "scope" in answer.text


class TestForeignForms:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ],
    )
    async def test_a_form_of_another_site_is_refused(self, headers: dict[str, str]) -> None:
        async with Front() as front:
            await front.submit()
            answer = await front.client.post("/ui/queues/default/purge", headers=headers)
            assert answer.status_code == 403
            assert (await front("GET", "/queues")).json()["items"][0]["ready"] == 1

    async def test_a_foreign_host_sees_nothing(self) -> None:
        async with Front() as front:
            answer = await front.client.get("/ui", headers={"host": "evil.example"})
            assert answer.status_code == 403
            assert "html" not in answer.headers["content-type"]


class TestPolicy:
    async def test_pages_may_load_and_run_their_own_files_only(self) -> None:
        async with Front() as front:
            for path in (*PAGES, "/login"):
                answer = await front.client.get(f"/ui{path}")
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "script-src 'self'" in policy
                assert "unsafe" not in policy
                assert answer.headers["cache-control"] == "no-store"
                assert "style=" not in answer.text
                assert "<script>" not in answer.text

    async def test_files_may_be_kept_for_ever_under_their_address(self) -> None:
        async with Front() as front:
            answer = await front.client.get("/ui/static/style.css")
            assert "immutable" in answer.headers["cache-control"]
            assert (await front.client.get("/ui/static/..%2Fvisit.py")).status_code == 404

    async def test_the_root_leads_to_the_dashboard(self) -> None:
        async with Front() as front:
            assert (await front("GET", "/")).headers["location"] == "/ui"
