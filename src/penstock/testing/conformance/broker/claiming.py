"""Between delivery and settling: settle, hand back, release, withdraw."""

from __future__ import annotations

from penstock.core.broker import Withdrawal
from penstock.core.message import Message
from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import (
    consumer,
    depth,
    fetch,
    names,
    nothing,
    promptly,
    sleeping,
    task,
    tasks,
    told,
)


class TestSettling:
    async def test_what_is_settled_is_gone(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2"))
            await taker.settle(await fetch(taker))
            now = await depth(broker)
            assert now.ready == 0
            assert told(now.claimed, 0)
            assert await broker.release(["lease"]) == []

    async def test_what_is_claimed_is_not_delivered_again(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1 2"))
            await fetch(one)
            assert await nothing(harness, one)
            assert await nothing(harness, other)

    async def test_some_of_a_batch_may_be_settled_before_the_others(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2 3"))
            one, two, three = await fetch(taker)
            await taker.settle([two])
            assert told((await depth(broker)).claimed, 2)
            await taker.settle([three, one])
            assert told((await depth(broker)).claimed, 0)

    async def test_settling_twice_or_nothing_is_fine(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1"))
            batch = await fetch(taker)
            for deliveries in (batch, batch, []):
                await taker.settle(deliveries)

    async def test_a_delivery_whose_lease_was_released_is_passed_over(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1 2"))
            lost = await fetch(one, 1)
            await broker.release(["1"])
            held = await fetch(other)
            assert names(held) == "1 2"
            await one.settle(lost)
            await one.hand_back(lost)
            assert told((await depth(broker)).claimed, 2)
            await other.settle(held)
            assert told((await depth(broker)).claimed, 0)

    async def test_a_late_settle_spares_a_message_that_waits_again(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1"))
            lost = await fetch(one)
            await broker.release(["1"])
            await one.settle(lost)
            assert names(await fetch(other)) == "1"

    async def test_a_consumer_that_was_stopped_can_still_settle_and_hand_back(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1 2"))
            done, undone = await fetch(one)
            await one.stop()
            await one.settle([done])
            await one.hand_back([undone])
            assert names(await fetch(other)) == "2"


class TestHandingBack:
    async def test_a_message_goes_back_to_its_old_place(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([*tasks("1 2 3 4"), task("urgent", priority=9)])
            batch = await fetch(taker, 4)
            assert names(batch) == "urgent 1 2 3"
            await taker.hand_back([batch[2], batch[0], batch[3]])
            assert names(await fetch(taker)) == "urgent 2 3 4"

    async def test_it_is_not_marked_redelivered(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1"))
            await taker.hand_back(await fetch(taker))
            [again] = await fetch(taker)
            assert not again.redelivered

    async def test_a_mark_from_before_stays(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1"))
            await fetch(one)
            await broker.release(["1"])
            await other.hand_back(await fetch(other))
            [again] = await fetch(other)
            assert again.redelivered

    async def test_it_comes_unchanged(self, harness: Harness) -> None:
        sent = Message(bytes(range(256)), {"id": "t", "x": [1, None]}, {"content_type": "a/b"}, "default", 4)
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([sent])
            await taker.hand_back(await fetch(taker))
            [again] = await fetch(taker)
        assert again.message == sent

    async def test_a_delay_is_kept(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2"))
            await taker.hand_back(await fetch(taker, 1), delay=3)
            assert names(await fetch(taker)) == "2"
            assert await nothing(harness, taker)
            now = await depth(broker)
            assert told(now.delayed, 1)
            assert told(now.claimed, 1)
            await harness.elapse(3.1)
            assert names(await fetch(taker)) == "1"

    async def test_another_sleeping_consumer_gets_it_at_once(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1"))
            batch = await fetch(one)
            async with sleeping(harness, other) as fetching, promptly():
                await one.hand_back(batch)
                assert names(await fetching) == "1"


class TestReleasing:
    async def test_what_dead_leases_held_comes_again_marked_and_in_its_old_place(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1 2 3"))
            await fetch(one, 2)
            assert sorted(await broker.release(["1"])) == ["1", "2"]
            batch = await fetch(other)
            assert names(batch) == "1 2 3"
            assert [each.redelivered for each in batch] == [True, True, False]

    async def test_other_leases_keep_theirs(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1 2"))
            await fetch(one, 1)
            held = await fetch(other, 1)
            assert await broker.release(["1", "unknown"]) == ["1"]
            await other.settle(held)
            assert await broker.release(["1"]) == []
            assert (await depth(broker)).ready == 1

    async def test_several_leases_are_released_at_once(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish([*tasks("1 2"), Message(b"raw")])
            await fetch(one, 1)
            await fetch(other)
            assert sorted(await broker.release(["1", "2"])) == ["", "1", "2"]
            assert (await depth(broker)).ready == 3

    async def test_a_sleeping_consumer_gets_it_at_once(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1"))
            await fetch(one)
            async with sleeping(harness, other) as fetching, promptly():
                await broker.release(["1"])
                assert names(await fetching) == "1"

    async def test_releasing_nothing_is_fine(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            assert await broker.release([]) == []


class TestWithdrawing:
    async def test_a_waiting_message_is_removed(self, searchable: Harness) -> None:
        async with searchable.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2 3"))
            assert await broker.withdraw("2") == Withdrawal(1)
            assert names(await fetch(taker)) == "1 3"

    async def test_a_delayed_message_is_removed(self, searchable: Harness) -> None:
        async with searchable.broker() as broker, consumer(broker) as taker:
            await broker.publish([task("1", due=searchable.now() + 3)])
            assert await broker.withdraw("1") == Withdrawal(1)
            await searchable.elapse(3.1)
            assert await nothing(searchable, taker)

    async def test_a_claimed_message_stays_and_its_lease_is_told(self, searchable: Harness) -> None:
        async with searchable.broker() as broker, consumer(broker, lease="mine") as taker:
            await broker.publish(tasks("1"))
            await fetch(taker)
            assert await broker.withdraw("1") == Withdrawal(0, "mine")
            assert told((await depth(broker)).claimed, 1)

    async def test_all_that_wait_are_removed_and_a_claimed_one_is_told(self, searchable: Harness) -> None:
        async with searchable.broker() as broker, consumer(broker, lease="mine") as taker:
            await broker.publish([task("1"), task("1"), task("1", due=searchable.now() + 100), task("2")])
            await fetch(taker, 1)
            assert await broker.withdraw("1") == Withdrawal(2, "mine")
            assert names(await fetch(taker)) == "2"

    async def test_an_unknown_task_has_nothing_to_withdraw(self, searchable: Harness) -> None:
        async with searchable.broker() as broker, consumer(broker) as taker:
            await broker.publish([Message(b"raw"), task("1")])
            assert await broker.withdraw("2") == Withdrawal(0)
            assert await broker.withdraw("") == Withdrawal(0)
            await taker.settle(await fetch(taker))
            assert await broker.withdraw("1") == Withdrawal(0)

    async def test_where_nothing_can_be_found_nothing_is_done_and_the_answer_says_so(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2"))
            found = await broker.withdraw("1")
            assert found == (Withdrawal(1) if found.sure else Withdrawal(0, sure=False))
            assert names(await fetch(taker)) == ("2" if found.sure else "1 2")
