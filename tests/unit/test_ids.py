"""core.ids: time-ordered ids."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID, uuid4

from penstock.core.ids import Ids, id_time, new_id


def test_ids_rise_strictly_and_never_repeat() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_is_a_uuid_of_version_7_that_carries_its_time() -> None:
    before = time.time()
    made = new_id()
    assert UUID(made).version == 7
    assert str(UUID(made)) == made
    found = id_time(made)
    assert found is not None
    assert before - 1 < found < before + 1


def test_other_ids_have_no_time() -> None:
    assert id_time(str(uuid4())) is None
    assert id_time("album-7") is None


def test_threads_never_share_an_id() -> None:
    source, made = Ids(), []

    def take() -> None:
        made.extend([source.new() for _ in range(2_000)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    source = Ids()
    source.new()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(source.new() for _ in range(3)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    theirs = os.read(reader, 200).decode()
    os.close(reader)
    assert len(theirs) == 3 * 36
    # the last twelve digits are random bytes only: equal ones would mean a shared pool
    assert theirs[24:36] not in {source.new()[24:] for _ in range(3)}
