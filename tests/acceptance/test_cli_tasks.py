"""submit, show, list, cancel, retry, queues and workers through the installed command."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time

import pytest

from tests.acceptance.commands import CommandLine, Outcome
from tests.processes import PENSTOCK, eventually


def test_a_task_is_submitted_waited_for_and_its_result_printed(served: CommandLine) -> None:
    outcome = served.ok("submit", "--app", "app.py", "add", "[2, 3]", "--wait")
    assert outcome.json == 5


def test_an_object_gives_the_arguments_by_name(served: CommandLine) -> None:
    assert served.ok("submit", "--app", "app.py", "add", '{"x": 2, "y": 5}', "--wait").json == 7


def test_without_wait_the_id_alone_is_printed_and_show_tells_the_rest(served: CommandLine) -> None:
    task_id = served.ok("submit", "--app", "app.py", "add", "[2, 3]").out.strip()
    record = eventually(lambda: ended(served.ok("show", task_id, "--json")))
    assert record["task_id"] == task_id
    assert record["result"] == 5
    assert record["status"] == "SUCCESS"
    assert record["traceback"] is None
    assert record["children"] == []
    shown = served.ok("show", task_id).out
    assert task_id in shown
    assert "SUCCESS" in shown


def ended(outcome: Outcome) -> dict[str, object]:
    """The record, {} while the task has not ended."""
    record: dict[str, object] = outcome.json
    return record if record["finished_at"] else {}


def test_a_task_that_only_a_live_worker_knows_can_be_submitted(served: CommandLine) -> None:
    assert served.ok("submit", "add", "[2, 3]", "--wait").json == 5


def test_an_unknown_task_is_refused_with_near_matches(served: CommandLine) -> None:
    for app in ([], ["--app", "app.py"]):
        outcome = served("submit", *app, "ad", "[2, 3]")
        assert outcome.code == 1
        assert "add" in outcome.err
        assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("app", [[], ["--app", "app.py"]])
@pytest.mark.parametrize(
    ("arguments", "named"), [('{"x": 2, "z": 5}', "z"), ('["two", 3]', "x"), ("[1]", "y"), ("[1, 2, 3]", "surplus")]
)
def test_wrong_arguments_are_refused_before_anything_is_queued(
    served: CommandLine, arguments: str, named: str, app: list[str]
) -> None:
    before = served.ok("list", "--json").json
    outcome = served("submit", *app, "add", arguments)
    assert outcome.code == 1
    assert named in outcome.err
    assert served.ok("list", "--json").json == before


@pytest.mark.parametrize("arguments", ["{x: 2}", '"text"', "NaN", "[1, 2"])
def test_arguments_that_are_not_a_json_array_or_object_are_wrong_usage(served: CommandLine, arguments: str) -> None:
    outcome = served("submit", "--app", "app.py", "add", arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def test_a_failed_task_gives_exit_code_1_and_its_reason(served: CommandLine) -> None:
    outcome = served("submit", "--app", "app.py", "divide", "[1, 0]", "--wait")
    assert outcome.code == 1
    assert "ZeroDivisionError" in outcome.err
    assert outcome.out == ""


def test_waiting_can_be_limited(served: CommandLine) -> None:
    outcome = served("submit", "--app", "app.py", "add", "[1, 2]", "--countdown", "60", "--wait", "--timeout", "0.2")
    assert outcome.code == 1
    assert "PENDING" in outcome.err


def test_options_travel_with_the_task(served: CommandLine) -> None:
    options = ["--queue", "later", "--priority", "6", "--countdown", "60", "--task-id", "chosen", "--time-limit", "9"]
    assert served.ok("submit", "--app", "app.py", "add", "[1, 2]", *options).out.strip() == "chosen"
    record = served.ok("show", "chosen", "--json").json
    assert (record["queue"], record["priority"], record["time_limit"]) == ("later", 6, 9)
    assert record["eta"] is not None


def test_an_id_that_is_taken_is_refused(served: CommandLine) -> None:
    served.ok("submit", "--app", "app.py", "add", "[1, 2]", "--task-id", "once")
    outcome = served("submit", "--app", "app.py", "add", "[1, 2]", "--task-id", "once")
    assert outcome.code == 1
    assert "once" in outcome.err


def test_waiting_shows_progress_on_a_terminal_and_only_there(served: CommandLine) -> None:
    seen, code = on_terminal(served, "submit", "--app", "app.py", "climb", "[20]", "--wait")
    assert code == 0
    assert "step 1" in seen
    assert served.ok("submit", "--app", "app.py", "climb", "[2]", "--wait").err == ""


def on_terminal(shop: CommandLine, *arguments: str) -> tuple[str, int]:
    """Everything that a command writes to its terminal, and its exit code."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [PENSTOCK, *arguments],
        cwd=shop.folder,
        env={**shop.env, "TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    seen = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                seen += os.read(leader, 65536)
            except OSError:  # what a terminal says whose other end is closed
                break
    os.close(leader)
    return seen.decode(), process.wait(60)


def test_an_id_is_never_cut_on_a_narrow_terminal(served: CommandLine) -> None:
    task_id = served.ok("submit", "--app", "app.py", "add", "[2, 3]").out.strip()
    seen, code = on_terminal(served, "list")
    assert code == 0
    assert f"{task_id}  add  " in seen


def test_bulk_submission_shows_how_far_it_is_on_a_terminal(served: CommandLine) -> None:
    (served.folder / "lines").write_text("[1, 2]\n" * 300)
    seen, code = on_terminal(served, "submit", "--app", "app.py", "add", "--bulk", "lines")
    assert code == 0
    assert "/300" in seen


def test_many_tasks_are_submitted_from_lines(served: CommandLine) -> None:
    lines = "".join(f"[{number}, 1]\n" for number in range(250))
    ids = served.ok("submit", "--app", "app.py", "add", "--bulk", "-", stdin=lines).out.split()
    assert len(set(ids)) == 250
    last = eventually(lambda: ended(served.ok("show", ids[-1], "--json")))
    assert last["result"] == 250


def test_lines_may_name_their_own_tasks_and_options(served: CommandLine) -> None:
    lines = [
        {"task": "add", "args": [1, 2], "queue": "aside"},
        {"task": "divide", "kwargs": {"x": 1, "y": 2}, "task_id": "half"},
    ]
    (served.folder / "tasks.ndjson").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    items = served.ok("submit", "--app", "app.py", "--bulk", "tasks.ndjson", "--json").json["items"]
    assert [item["status"] for item in items] == ["PENDING", "PENDING"]
    assert served.ok("show", items[0]["task_id"], "--json").json["queue"] == "aside"
    assert items[1]["task_id"] == "half"


@pytest.mark.parametrize("bad", ["{", '["x", 1]', "7", '{"x": 1}'])
def test_one_bad_line_is_named_and_nothing_is_queued(served: CommandLine, bad: str) -> None:
    before = served.ok("list", "--json").json
    outcome = served("submit", "--app", "app.py", "add", "--bulk", "-", stdin=f"[1, 2]\n{bad}\n[3, 4]\n")
    assert outcome.code == 1
    assert "line 2" in outcome.err
    assert served.ok("list", "--json").json == before


def test_a_list_is_filtered_and_paged(shop: CommandLine) -> None:
    for number in range(5):
        shop.ok("submit", "--app", "app.py", "add", f"[{number}, 0]", "--queue", "odd" if number % 2 else "even")
    shop.ok("submit", "--app", "app.py", "divide", "[1, 2]")
    assert len(shop.ok("list", "--json", "--queue", "odd").json["items"]) == 2
    assert len(shop.ok("list", "--json", "--queue", "odd", "--queue", "even").json["items"]) == 5
    assert [item["task"] for item in shop.ok("list", "--json", "--task", "divide").json["items"]] == ["divide"]
    assert shop.ok("list", "--json", "--status", "success").json["items"] == []
    assert shop.ok("list", "--json", "--until", "1h").json["items"] == []
    assert len(shop.ok("list", "--json", "--since", "1h", "--q", "[4").json["items"]) == 1
    first = shop.ok("list", "--json", "--limit", "4").json
    rest = shop.ok("list", "--json", "--limit", "4", "--cursor", first["next"]).json
    assert rest["next"] is None
    ids = [item["task_id"] for item in first["items"] + rest["items"]]
    assert len(set(ids)) == 6
    assert ids[0] in shop.ok("list").out


def test_a_cursor_that_is_none_is_wrong_usage(shop: CommandLine) -> None:
    shop.ok("submit", "--app", "app.py", "add", "[1, 2]")
    assert shop("list", "--cursor", "nonsense").code == 2
    assert shop("list", "--since", "yesterday").code == 2


def test_what_users_wrote_reaches_no_terminal_with_its_control_characters(served: CommandLine) -> None:
    outcome = served("submit", "--app", "app.py", "complain", r'["\u001b[31mred"]', "--wait", "--task-id", "red")
    assert outcome.code == 1
    assert "red" in outcome.err
    shown = served.ok("show", "red").out
    assert "Traceback" in shown
    assert "\x1b" not in outcome.err + shown + served.ok("list").out


def test_a_waiting_task_is_cancelled_and_run_once_more(shop: CommandLine) -> None:
    task_id = shop.ok("submit", "--app", "app.py", "add", "[1, 2]").out.strip()
    assert task_id in shop.ok("cancel", task_id).out
    assert shop.ok("show", task_id, "--json").json["status"] == "REVOKED"
    again = shop("cancel", task_id)
    assert again.code == 1
    assert "REVOKED" in again.err
    shop.ok("retry", task_id)
    assert shop.ok("show", task_id, "--json").json["status"] == "PENDING"
    assert shop("retry", task_id).code == 1


def test_what_is_done_to_tasks_is_told_as_json_with_the_names_of_the_http_api(shop: CommandLine) -> None:
    ids = [shop.ok("submit", "--app", "app.py", "add", "[1, 2]").out.strip() for _ in range(2)]
    cancelled = shop("cancel", ids[0], "nobody", ids[1], "--json")
    assert cancelled.code == 1
    assert "nobody" in cancelled.err
    assert [(task["task_id"], task["status"]) for task in cancelled.json["items"]] == [(i, "REVOKED") for i in ids]
    retried = shop.ok("retry", *ids, "--json").json
    assert retried == {"items": [{"task_id": task_id, "status": "PENDING"} for task_id in ids]}


def test_a_running_task_is_stopped_only_on_request(served: CommandLine) -> None:
    task_id = served.ok("submit", "--app", "app.py", "climb", "[2000]").out.strip()
    eventually(lambda: served.ok("show", task_id, "--json").json["status"] == "STARTED")
    refused = served("cancel", task_id)
    assert refused.code == 1
    assert "--terminate" in refused.err
    served.ok("cancel", task_id, "--terminate")
    eventually(lambda: served.ok("show", task_id, "--json").json["status"] == "REVOKED")


@pytest.mark.parametrize("command", ["show", "cancel", "retry"])
def test_an_unknown_id_is_one_clear_line(shop: CommandLine, command: str) -> None:
    shop.ok("submit", "--app", "app.py", "add", "[1, 2]")
    outcome = shop(command, "nobody")
    assert outcome.code == 1
    assert "nobody" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("command", [["show", "nobody"], ["list"], ["queues"], ["workers"]])
def test_looking_in_the_wrong_folder_says_so_and_leaves_nothing_there(shop: CommandLine, command: list[str]) -> None:
    outcome = shop(*command)
    assert outcome.code == 1
    assert str(shop.folder / "penstock.db") in outcome.err
    assert [path.name for path in shop.folder.iterdir()] == ["app.py"]


def test_queues_tell_what_waits_and_who_takes_it(served: CommandLine) -> None:
    served.ok("submit", "--app", "app.py", "add", "[1, 2]", "--queue", "lonely")
    queues = {queue["name"]: queue for queue in served.ok("queues", "--json").json["items"]}
    assert queues["lonely"]["ready"] == 1
    assert queues["lonely"]["workers"] == 0
    assert queues["default"]["workers"] == 1
    table = served.ok("queues").out
    assert "lonely" in table
    assert "READY" in table


def test_workers_are_listed_with_what_they_take(served: CommandLine) -> None:
    (worker,) = served.ok("workers", "--json").json["items"]
    assert worker["queues"] == ["default"]
    assert {"add", "divide", "climb"} <= set(worker["tasks"])
    assert worker["name"] in served.ok("workers").out
