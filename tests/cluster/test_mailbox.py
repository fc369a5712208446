"""The mailbox's promises, without Ray: it is plain asyncio."""

import asyncio

import pytest

from ganray.cluster.mailbox import Mailbox


def result(kimg, done=False):
    return {"kimg": kimg, "done": done, "status": "completed" if done else "running"}


async def soon(coroutine):
    return await asyncio.wait_for(coroutine, 5)


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_job_goes_in_and_its_results_come_out_in_order():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        assert await soon(box.next_job(0, 1)) == ("job", job_id, "recipe")
        first = asyncio.create_task(box.report(job_id, result(1)))
        assert (await soon(box.next_result(job_id, 1)))["kimg"] == 1
        second = asyncio.create_task(box.next_result(job_id, 5))
        assert await soon(first) is True
        assert await soon(box.report(job_id, result(2, done=True))) is False
        assert (await soon(second))["kimg"] == 2

    run(scenario)


def test_a_report_waits_for_the_verdict():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        await box.next_job(0, 1)
        report = asyncio.create_task(box.report(job_id, result(1)))
        await box.next_result(job_id, 1)
        await asyncio.sleep(0.05)
        assert not report.done(), "the worker must not train on before Tune has judged"

    run(scenario)


def test_a_superseded_job_is_told_to_stop():
    async def scenario():
        box = Mailbox()
        first = await box.submit("weak")
        await box.next_job(0, 1)
        report = asyncio.create_task(box.report(first, result(1)))
        await box.next_result(first, 1)
        second = await box.submit("next")
        assert await soon(report) is False
        assert await soon(box.next_job(first, 1)) == ("job", second, "next")

    run(scenario)


def test_a_restarted_worker_gets_its_job_again_and_repeats_nothing():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        await box.next_job(0, 1)
        report = asyncio.create_task(box.report(job_id, result(1)))
        await box.next_result(job_id, 1)
        wanted = asyncio.create_task(box.next_result(job_id, 5))
        await report
        # The worker dies here; its successor starts from nothing and reports kimg 1 once more.
        assert await soon(box.next_job(0, 1)) == ("job", job_id, "recipe")
        assert await soon(box.report(job_id, result(1))) is True
        assert not wanted.done()
        again = asyncio.create_task(box.report(job_id, result(2)))
        assert (await soon(wanted))["kimg"] == 2
        again.cancel()

    run(scenario)


def test_workers_on_a_node_that_goes_away_pause_and_get_their_job_again_elsewhere():
    async def scenario():
        box = Mailbox()
        await box.hello(("node-1",))
        assert await box.nodes() == ("node-1",)
        job_id = await box.submit("recipe")
        assert await soon(box.next_job(0, 1)) == ("job", job_id, "recipe")
        assert not await box.wants_pause()
        assert await box.evacuate() is True
        assert await box.evacuate() is False, "said once"
        assert await box.wants_pause()
        assert await soon(box.next_job(job_id, 1)) == ("move", 0, None)
        await box.hello(("node-2",))
        assert not await box.wants_pause()
        assert await soon(box.next_job(0, 1)) == ("job", job_id, "recipe")

    run(scenario)


def test_who_closes_may_wait_until_the_workers_have_left():
    async def scenario():
        box = Mailbox()
        assert await box.close() is False, "nobody has come yet"
        box = Mailbox()
        await box.hello(("node-1",))
        assert await box.close() is True
        assert await box.wait_until_left(0.01) is False
        left = asyncio.create_task(box.wait_until_left(5))
        assert await soon(box.next_job(0, 1)) == ("closed", 0, None)
        assert await soon(left) is True

    run(scenario)


def test_results_are_counted():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        assert await box.count_results() == 0
        await box.report(job_id, result(1, done=True))
        assert await box.count_results() == 1

    run(scenario)


def test_a_finished_job_is_not_handed_to_a_restarted_worker():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        await box.next_job(0, 1)
        await box.report(job_id, result(1, done=True))
        assert (await soon(box.next_job(0, 0.05)))[0] == "idle"

    run(scenario)


def test_a_failure_is_the_last_result_and_reports_after_it_are_refused():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        await box.next_job(0, 1)
        await box.fail(job_id, {"kimg": 0.0, "done": True, "status": "failed", "diagnosis": "non-finite"})
        assert (await soon(box.next_result(job_id, 1)))["diagnosis"] == "non-finite"
        assert await soon(box.report(job_id, result(1))) is False

    run(scenario)


def test_close_sends_the_workers_home_and_pauses_what_runs():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        await box.next_job(0, 1)
        report = asyncio.create_task(box.report(job_id, result(1)))
        await asyncio.sleep(0)
        assert await box.wants_pause() is False
        await box.close()
        assert await soon(report) is False
        assert await box.wants_pause() is True
        assert (await soon(box.next_job(0, 1)))[0] == "closed"

    run(scenario)


def test_a_dead_worker_group_is_an_error_and_not_a_hang():
    async def scenario():
        box = Mailbox()
        job_id = await box.submit("recipe")
        wanted = asyncio.create_task(box.next_result(job_id, 5))
        await asyncio.sleep(0)
        await box.group_died("out of nodes")
        with pytest.raises(RuntimeError, match="out of nodes"):
            await soon(wanted)

    run(scenario)


def test_an_idle_worker_and_a_slow_result_come_back_in_time():
    async def scenario():
        box = Mailbox()
        assert await soon(box.next_job(0, 0.05)) == ("idle", 0, None)
        job_id = await box.submit("recipe")
        assert await soon(box.next_result(job_id, 0.05)) is None

    run(scenario)
