"""Who is let in: hosts, origins, content types, keys and rates."""

from __future__ import annotations

import pytest

from penstock.api.doors import Doors, check_content
from penstock.api.keys import ANYONE, KeyRing, allow
from penstock.api.limit import Meter
from penstock.api.problems import Problem
from penstock.api.route import Body, Response, Route
from penstock.core.access import Rate, Scope
from tests.unit.api.shop import Shop

SECRET = "correct-horse-battery"


async def handler(call: object) -> object:
    raise NotImplementedError


def route(method: str = "POST", body: Body | None = None, scope: Scope = "submit") -> Route:
    return Route(
        method,  # type: ignore[arg-type]
        "/x",
        handler,  # type: ignore[arg-type]
        scope,
        "Tag",
        "Summary",
        responses={200: Response("Fine")},
        body=body,
    )


def status_of(refused: pytest.ExceptionInfo[Problem]) -> int:
    return refused.value.kind.status


class TestHosts:
    @pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:80", "[::1]", "[::1]:9", "LocalHost."])
    def test_this_machine_is_allowed_by_its_names_on_any_port(self, host: str) -> None:
        Doors().check("GET", "/tasks", {b"host": host.encode()})

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "", "10.0.0.1", "[::2]", "127.0.0.1.nip.io"]
    )
    def test_every_other_name_is_refused(self, host: str) -> None:
        with pytest.raises(Problem) as refused:
            Doors().check("GET", "/tasks", {b"host": host.encode()})
        assert refused.value.kind.name == "foreign-host"
        assert status_of(refused) == 403

    def test_a_missing_host_is_refused(self) -> None:
        with pytest.raises(Problem):
            Doors().check("GET", "/tasks", {})

    def test_health_answers_to_any_name(self) -> None:
        Doors().check("GET", "/health/live", {b"host": b"10.1.2.3:8000"})

    def test_names_can_be_allowed_also_below_a_domain(self) -> None:
        doors = Doors(["api.example.com", "*.internal"])
        for host in (b"api.example.com", b"a.b.internal:8000"):
            doors.check("GET", "/tasks", {b"host": host})
        for host in (b"example.com", b"internal", b"xinternal"):
            with pytest.raises(Problem):
                doors.check("GET", "/tasks", {b"host": host})

    def test_a_star_allows_every_name(self) -> None:
        Doors(["*"]).check("GET", "/tasks", {b"host": b"anything.example"})

    def test_the_bound_address_is_allowed(self) -> None:
        Doors(bound="192.168.1.5").check("GET", "/tasks", {b"host": b"192.168.1.5:8000"})
        Doors(bound="fe80::1").check("GET", "/tasks", {b"host": b"[fe80::1]:8000"})

    def test_bound_to_every_address_numbers_are_allowed_but_no_names(self) -> None:
        doors = Doors(bound="0.0.0.0")  # noqa: S104  (nothing is bound)
        doors.check("GET", "/tasks", {b"host": b"192.168.1.5:8000"})
        with pytest.raises(Problem):
            doors.check("GET", "/tasks", {b"host": b"evil.example:8000"})


class TestOrigins:
    HOST = (b"host", b"localhost:8000")

    @pytest.mark.parametrize("origin", [b"http://localhost:8000", b"https://LOCALHOST:8000"])
    def test_the_own_origin_may_change_things(self, origin: bytes) -> None:
        Doors().check("POST", "/tasks", dict([self.HOST, (b"origin", origin)]))

    def test_without_an_origin_it_is_no_browser(self) -> None:
        Doors().check("POST", "/tasks", dict([self.HOST]))

    def test_the_default_port_may_be_written_or_not(self) -> None:
        Doors(["x.example"]).check("POST", "/tasks", {b"host": b"x.example", b"origin": b"https://x.example:443"})

    @pytest.mark.parametrize(
        "origin", [b"http://localhost:3000", b"http://evil.example", b"null", b"http://localhost", b"localhost:8000"]
    )
    @pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "PUT"])
    def test_a_foreign_origin_may_change_nothing(self, method: str, origin: bytes) -> None:
        with pytest.raises(Problem) as refused:
            Doors().check(method, "/tasks", dict([self.HOST, (b"origin", origin)]))
        assert refused.value.kind.name == "foreign-origin"

    def test_a_cross_site_request_is_refused_even_without_an_origin(self) -> None:
        with pytest.raises(Problem):
            Doors().check("POST", "/tasks", dict([self.HOST, (b"sec-fetch-site", b"cross-site")]))

    def test_looking_is_left_to_the_browser_which_gets_no_cors_headers(self) -> None:
        Doors().check("GET", "/tasks", dict([self.HOST, (b"origin", b"http://evil.example")]))


class TestTwice:
    @pytest.mark.parametrize("name", ["host", "origin", "content-type", "authorization"])
    async def test_a_header_that_decides_may_stand_once_only(self, name: str) -> None:
        async with Shop() as shop:
            own = {"host": "127.0.0.1", "origin": "http://127.0.0.1", "content-type": "application/json"}
            headers = [(name, "http://evil.example"), *own.items(), ("authorization", "Bearer x")]
            answer = await shop("POST", "/tasks/nothing", content=b"{}", headers=headers)
            assert answer.status_code == 400
            assert answer.json()["detail"] == f"header {name}: given twice"


class TestContent:
    BODY = Body({"application/json": {}})

    def test_json_is_taken_with_or_without_a_charset(self) -> None:
        for kind in (b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8"'):
            check_content(route(body=self.BODY), {b"content-length": b"2", b"content-type": kind})

    @pytest.mark.parametrize(
        "headers",
        [
            {b"content-type": b"text/plain"},
            {},
            {b"content-type": b"application/x-www-form-urlencoded"},
            {b"content-type": b"application/json; charset=latin-1"},
            {b"content-type": b"application/json", b"content-encoding": b"gzip"},
        ],
    )
    def test_what_a_form_can_send_is_refused(self, headers: dict[bytes, bytes]) -> None:
        with pytest.raises(Problem) as refused:
            check_content(route(body=self.BODY), {b"content-length": b"2", **headers})
        assert status_of(refused) == 415

    def test_a_chunked_body_needs_a_type_too(self) -> None:
        with pytest.raises(Problem):
            check_content(route(body=self.BODY), {b"transfer-encoding": b"chunked"})

    def test_no_body_needs_no_type(self) -> None:
        check_content(route(body=self.BODY), {})
        check_content(route(body=self.BODY), {b"content-length": b"0"})

    def test_a_route_without_a_body_refuses_what_a_form_can_send(self) -> None:
        with pytest.raises(Problem):
            check_content(route(), {b"content-length": b"2", b"content-type": b"text/plain"})


class TestKeys:
    def test_without_keys_everybody_is_let_in(self) -> None:
        assert KeyRing([]).holder({}) == ANYONE

    @pytest.mark.parametrize(
        "headers",
        [
            {b"authorization": b"Bearer " + SECRET.encode()},
            {b"authorization": b"bearer  " + SECRET.encode()},
            {b"x-api-key": SECRET.encode()},
        ],
    )
    def test_a_key_is_carried_in_either_header(self, headers: dict[bytes, bytes]) -> None:
        assert KeyRing(["another-long-secret", SECRET]).holder(headers).number == 2

    def test_no_key_and_a_wrong_key_are_401_with_a_challenge(self) -> None:
        for headers in ({}, {b"x-api-key": b"wrong-horse-battery"}, {b"authorization": b"Basic abc"}):
            with pytest.raises(Problem) as refused:
                KeyRing([SECRET]).holder(headers)
            assert status_of(refused) == 401
            assert dict(refused.value.headers)[b"www-authenticate"].startswith(b"Bearer ")

    def test_a_key_has_all_scopes_unless_it_names_some(self) -> None:
        everything, some = KeyRing([SECRET, "another-long-secret=submit+read"]).keys
        assert everything.scopes == {"submit", "read", "operate"}
        assert some.scopes == {"submit", "read"}
        allow(some, "read")
        with pytest.raises(Problem) as refused:
            allow(some, "operate")
        assert status_of(refused) == 403

    def test_base64_padding_belongs_to_the_secret(self) -> None:
        ring = KeyRing(["c2VjcmV0IHNlY3JldA==", "c2VjcmV0IHNlY3JldB===read"])
        assert ring.holder({b"x-api-key": b"c2VjcmV0IHNlY3JldA=="}).scopes == {"submit", "read", "operate"}
        assert ring.holder({b"x-api-key": b"c2VjcmV0IHNlY3JldB=="}).scopes == {"read"}

    def test_a_secret_is_in_no_repr(self) -> None:
        assert SECRET not in repr(KeyRing([SECRET]).keys)

    def test_the_owner_of_a_key_is_the_same_in_every_process(self) -> None:
        assert KeyRing([SECRET]).keys[0].owner == KeyRing(["another-long-secret", SECRET]).keys[1].owner


class TestRates:
    def test_a_key_may_use_its_whole_period_at_once_and_then_waits(self) -> None:
        now = [1000.0]
        meter = Meter(Rate(3, 60.0), 1, clock=lambda: now[0])
        left = [dict(meter.take(1))[b"ratelimit-remaining"] for _ in range(3)]
        assert left == [b"2", b"1", b"0"]
        with pytest.raises(Problem) as refused:
            meter.take(1)
        headers = dict(refused.value.headers)
        assert status_of(refused) == 429
        assert headers[b"retry-after"] == b"20"
        assert headers[b"ratelimit"] == b'"key";r=0;t=60'
        now[0] += 20.0
        meter.take(1)
        with pytest.raises(Problem):
            meter.take(1)

    def test_keys_do_not_share_their_limit(self) -> None:
        meter = Meter(Rate(1, 60.0), 2, clock=lambda: 5.0)
        meter.take(1)
        meter.take(2)
        with pytest.raises(Problem):
            meter.take(1)
