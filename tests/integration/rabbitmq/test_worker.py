"""A worker on RabbitMQ: outages of every kind, the server's own patience, and lanes. Nothing accepted is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from penstock.brokers.rabbitmq.topology import REGISTRY
from penstock.client import operations
from penstock.core.errors import Unavailable
from penstock.core.states import REVOKED, STARTED, SUCCESS
from tests.integration.rabbitmq.field import RabbitField
from tests.processes import eventually
from tests.proxy import Proxy
from tests.servers import RabbitMQ


@pytest.fixture
def own_server() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


@pytest.fixture
def line(tmp_path: Path, rabbitmq_server: RabbitMQ) -> RabbitField:
    return RabbitField(tmp_path, rabbitmq_server.fresh())


def left(server: RabbitMQ, field: RabbitField) -> int:
    """How many messages of tasks the server has, delayed ones and those that a worker holds included."""
    told = server.control(
        "list_queues", "-p", field.broker.rpartition("/")[2], "--no-table-headers", "name", "messages"
    )
    counts = (line.split("\t") for line in told.splitlines())
    return sum(int(count) for name, count in counts if name != REGISTRY)


@contextmanager
def short_of_memory(server: RabbitMQ) -> Iterator[None]:
    """As the server is beyond its watermark: everybody who publishes waits."""
    resource = "{resource_limit, memory, node()}"
    server.control("eval", f"rabbit_alarm:set_alarm({{{resource}, []}}).")
    try:
        yield
    finally:
        server.control("eval", f"rabbit_alarm:clear_alarm({resource}).")


class TestTasks:
    def test_tasks_run_and_higher_levels_first(self, line: RabbitField) -> None:
        low = [line.send("add", 1, number) for number in range(5)]
        high = [line.send("add", 2, number, priority=9) for number in range(5)]
        with line.worker("--threads", "1"):
            assert [record.result for record in line.ended(*low, *high)] == [
                *(b"%d" % (1 + number) for number in range(5)),
                *(b"%d" % (2 + number) for number in range(5)),
            ]
        begun = [entry.split()[0] for entry in line.ledger.read_text().splitlines()]
        assert set(begun[:5]) == set(high)
        assert line.depth() == 0

    def test_a_delayed_task_waits_in_the_server_and_a_cancelled_one_never_runs(
        self, line: RabbitField, rabbitmq_server: RabbitMQ
    ) -> None:
        later = line.send("add", 1, 1, countdown=2)
        never = line.send("add", 2, 2, countdown=2)
        assert line.depth() == 2
        line.ask(lambda backends: operations.cancel(backends, never))
        assert line.record(never).state == REVOKED
        with line.worker():
            [record] = line.ended(later)
            assert record.state == SUCCESS
            assert (record.finished_at or 0) - record.created_at >= 2
            eventually(lambda: left(rabbitmq_server, line) == 0, what="the other one's message has come, too")
        assert line.runs()[never] == 0

    def test_the_message_of_a_cancelled_task_is_not_counted_and_dropped_in_its_turn(self, line: RabbitField) -> None:
        gone = line.send("add", 1, 1)
        line.ask(lambda backends: operations.cancel(backends, gone))
        assert [(each.ready, each.oldest) for each in line.ask(operations.depths)] == [(0, None)]
        assert [each.ready for each in line.ask(lambda backends: backends.broker.depth())] == [1]
        with line.worker() as worker:
            line.seen(gone, lambda record: record.confirmed)
            worker.process.stop()  # and has it settled
        assert not line.runs()
        assert [each.ready for each in line.ask(lambda backends: backends.broker.depth())] == [0]
        record = line.record(line.send("add", 1, 2))
        assert [(each.ready, each.oldest) for each in line.ask(operations.depths)] == [(1, record.created_at)]

    def test_a_retry_waits_in_the_server(self, line: RabbitField) -> None:
        with line.worker():
            [record] = line.ended(line.send("flaky", 1))
        assert (record.state, record.retries) == (SUCCESS, 1)

    def test_a_killed_worker_s_tasks_run_again(self, line: RabbitField) -> None:
        with line.worker() as first:
            task_id = line.send("stay", str(line.folder / "go"))
            line.seen(task_id, lambda record: record.state == STARTED)
            first.process.kill_tree()
        (line.folder / "go").touch()
        with line.worker():
            [record] = line.ended(task_id, within=90)
        assert record.state == SUCCESS
        assert line.runs()[task_id] == 2


class TestOutages:
    @pytest.mark.timeout(400)
    def test_twenty_thousand_in_flight_survive_the_server_s_death(self, tmp_path: Path, own_server: RabbitMQ) -> None:
        field = RabbitField(tmp_path, own_server.url)
        with field.worker(processes=2):
            task_ids = field.send_many("add", 20_000, 1, 2)
            eventually(lambda: field.ended_so_far() > 1000, what="the first thousand")
            own_server.kill()
            own_server.start()
            back = time.monotonic()
            more = eventually(lambda: field.tried("add", 3, 4), within=90, what="the server takes tasks again")
            field.ended(more, within=120)
            found = field.ended(*task_ids, within=240)
            took = time.monotonic() - back
        assert {record.state for record in found} == {SUCCESS}
        assert field.depth() == 0
        assert took < 240

    def test_submitting_fails_fast_while_the_server_is_down_and_works_again(
        self, tmp_path: Path, own_server: RabbitMQ
    ) -> None:
        field = RabbitField(tmp_path, own_server.url)
        with field.worker():
            field.ended(field.send("add", 1, 1))
            own_server.kill()
            start = time.monotonic()
            with pytest.raises(Unavailable, match=r"cannot be reached|the connection was lost|closed"):
                field.send("add", 1, 2)
            assert time.monotonic() - start < 15
            own_server.start()
            task_id = eventually(lambda: field.tried("add", 1, 3), within=60, what="a submission goes through")
            assert field.ended(task_id)[0].result == b"4"

    def test_a_connection_that_is_cut_costs_no_running_task(self, tmp_path: Path, rabbitmq_server: RabbitMQ) -> None:
        with Proxy(rabbitmq_server.fresh()) as proxy:
            field = RabbitField(tmp_path, proxy.url)
            with field.worker("--threads", "4"):
                task_ids = [field.send("rest", 3.0) for _ in range(4)]
                eventually(lambda: all(field.runs()[task_id] for task_id in task_ids), what="all begin")
                proxy.cut()
                quick = eventually(lambda: field.tried("add", 1, 1), what="a submission goes through")
                found = field.ended(*task_ids, quick, within=90)
            assert {record.state for record in found} == {SUCCESS}
            assert [field.runs()[task_id] for task_id in task_ids] == [1, 1, 1, 1]
            assert field.depth() == 0

    def test_a_silent_server_is_noticed_and_left(self, tmp_path: Path, rabbitmq_server: RabbitMQ) -> None:
        with Proxy(rabbitmq_server.fresh()) as proxy:
            field = RabbitField(tmp_path, f"{proxy.url}?timeout=2")
            with field.worker() as worker:
                field.ended(field.send("add", 1, 1))
                proxy.half_open()
                worker.process.prints("no answer within 2 s")
                proxy.heal()
                task_id = eventually(lambda: field.tried("add", 1, 1), what="a submission goes through")
                assert field.ended(task_id)[0].state == SUCCESS

    def test_a_slow_line_is_only_slow(self, tmp_path: Path, rabbitmq_server: RabbitMQ) -> None:
        with Proxy(rabbitmq_server.fresh()) as proxy:
            field = RabbitField(tmp_path, proxy.url)
            proxy.delay(0.05)
            with field.worker():
                assert {record.state for record in field.ended(*(field.send("add", 1, n) for n in range(5)))} == {
                    SUCCESS
                }

    def test_a_server_short_of_memory_takes_no_task_and_still_has_them_ended(
        self, tmp_path: Path, rabbitmq_server: RabbitMQ
    ) -> None:
        """It stops reading from who publishes; what runs ends and is acknowledged on a connection of its own."""
        field = RabbitField(tmp_path, f"{rabbitmq_server.fresh()}?timeout=3")
        with field.worker(), ExitStack() as trouble:
            running = field.send("stay", str(tmp_path / "go"))
            field.begun(running)
            trouble.enter_context(short_of_memory(rabbitmq_server))
            assert not field.tried("add", 1, 1)
            (tmp_path / "go").touch()
            assert field.ended(running)[0].state == SUCCESS
            trouble.close()
            task_id = eventually(lambda: field.tried("add", 1, 2), what="a submission goes through")
            assert field.ended(task_id)[0].result == b"3"
            eventually(lambda: field.depth() == 0, what="all messages are settled")


@pytest.fixture(scope="module")
def impatient() -> Iterator[RabbitMQ]:
    """A server that takes back after four seconds what is not acknowledged."""
    with RabbitMQ(consumer_timeout="4000") as server:
        server.control("eval", "application:set_env(rabbit, channel_tick_interval, 500).")
        yield server


def out_of_patience(server: RabbitMQ) -> int:
    """How often it has closed a channel for that."""
    return server.log.count("delivery acknowledgement on channel")


class TestThePatienceOfTheServer:
    def test_a_task_that_outlasts_it_runs_once(self, tmp_path: Path, impatient: RabbitMQ) -> None:
        field, before = RabbitField(tmp_path, impatient.fresh(), park_after=1.5), out_of_patience(impatient)
        with field.worker("--threads", "2"):
            task_id = field.send("rest", 10.0)
            [record] = field.ended(task_id, within=60)
            assert record.state == SUCCESS
            assert field.ended(field.send("add", 1, 1))[0].state == SUCCESS
        assert field.runs()[task_id] == 1
        assert field.depth() == 0
        assert out_of_patience(impatient) == before

    def test_a_task_that_holds_the_gil_for_longer_runs_once(self, tmp_path: Path, impatient: RabbitMQ) -> None:
        field, before = RabbitField(tmp_path, impatient.fresh(), park_after=1.5), out_of_patience(impatient)
        with field.worker("--threads", "2", processes=2):
            task_id = field.send("grip", 12.0)
            eventually(lambda: out_of_patience(impatient) > before, what="it gives the message to another process")
            assert field.events(task_id) == ["begin"]
            [record] = field.ended(task_id, within=60)
            assert record.state == SUCCESS
            assert field.ended(field.send("add", 1, 1))[0].state == SUCCESS
            eventually(lambda: field.depth() == 0, what="no copy is left")
        assert field.runs()[task_id] == 1

    def test_a_parked_task_whose_worker_is_killed_runs_again(self, tmp_path: Path, rabbitmq_server: RabbitMQ) -> None:
        field = RabbitField(tmp_path, rabbitmq_server.fresh(), park_after=1.2, lease=3.0, lease_renewal=1.0)
        with field.worker() as first:
            task_id = field.send("stay", str(field.folder / "go"))
            field.seen(task_id, lambda record: record.state == STARTED and not record.confirmed)  # it is parked
            eventually(lambda: left(rabbitmq_server, field) == 0, what="and acknowledged")
            first.process.kill_tree()
        (field.folder / "go").touch()
        with field.worker():
            [record] = field.ended(task_id, within=120)
        assert (record.state, field.runs()[task_id]) == (SUCCESS, 2)
