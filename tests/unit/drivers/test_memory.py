"""The store in memory: all or nothing, and wake-ups."""

from __future__ import annotations

import asyncio

import pytest

from penstock.core.errors import ConfigurationError
from penstock.core.ids import new_id
from penstock.core.step import commit
from penstock.drivers.memory import Memory, Store, open_driver


def fresh() -> Memory:
    return open_driver(f"memory://{new_id()}")


def nothing(_store: Store) -> None:
    """For steps that only wake."""


def fail(_store: Store) -> None:
    raise LookupError


class TestMemory:
    async def test_a_failing_step_undoes_all_that_was_done_with_it(self) -> None:
        driver = fresh()
        await driver.write(lambda store: store.table("rows").update({"stays": 1, "changes": 1, "goes": 1}))

        def change(store: Store) -> None:
            table = store.table("rows")
            table["new"] = 1
            table["changes"] = 2
            table["changes"] = 3
            del table["goes"]
            table["goes"] = 4
            del table["new"]

        with pytest.raises(LookupError):
            await commit(driver.write(change), driver.write(fail))
        assert dict(driver.store.table("rows")) == {"stays": 1, "changes": 1, "goes": 1}

    async def test_what_was_committed_stays_when_a_later_call_fails(self) -> None:
        driver = fresh()
        await driver.write(lambda store: store.table("rows").update(a=1))
        with pytest.raises(LookupError):
            await driver.write(fail)
        assert dict(driver.store.table("rows")) == {"a": 1}

    async def test_drivers_of_one_name_share_a_store_and_others_do_not(self) -> None:
        name = new_id()
        one, same, other = Memory(name), Memory(name), Memory(new_id())
        await one.write(lambda store: store.table("rows").update(a=1))
        assert await same.read(lambda store: len(store.table("rows"))) == 1
        assert await other.read(lambda store: len(store.table("rows"))) == 0

    async def test_a_listener_hears_its_topic_and_no_other(self) -> None:
        driver = fresh()
        watch = driver.listen("mail")
        await driver.write(nothing, "messages records")
        assert not await watch.wait(0)
        await driver.write(nothing, "records mail")
        assert await watch.wait(0)
        assert not await watch.wait(0)
        await watch.close()
        await watch.close()
        await driver.write(nothing, "mail")
        assert not await watch.wait(0)

    async def test_a_sleeper_is_woken_from_another_thread(self) -> None:
        driver = fresh()
        watch = driver.listen("mail")
        sleeping = asyncio.create_task(watch.wait(10))
        await asyncio.sleep(0)
        await asyncio.to_thread(asyncio.run, written(driver))
        assert await sleeping

    async def test_failed_steps_wake_nobody(self) -> None:
        driver = fresh()
        watch = driver.listen("mail")
        with pytest.raises(LookupError):
            await commit(driver.write(nothing, "mail"), driver.write(fail))
        assert not await watch.wait(0)

    def test_in_blocking_mode_nothing_is_suspended(self) -> None:
        driver = Memory(new_id(), blocking=True)
        watch = driver.listen("mail")
        for awaitable in (written(driver), watch.wait(0)):
            with pytest.raises(StopIteration):
                awaitable.send(None)

    @pytest.mark.parametrize("url", ["sqlite:///p.db", "memory://a/b", "memory://a?x=1"])
    def test_a_wrong_url_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError):
            open_driver(url)


async def written(driver: Memory) -> None:
    await driver.write(nothing, "mail")
