"""`/v1` when more comes than may or can be taken: rates, 429 and 503."""

import asyncio
from typing import Any

import httpx

from service.core.instants import SECOND
from tests.api.tracking import basic, identify, make, send, taken, traits
from tests.contracts.test_errors import shaped
from tests.running import Clock
from tests.serving import Service, service_of


def test_a_source_has_its_rate(fresh: Service) -> None:
    key = make(fresh, rate_limit=60)
    clock = fresh.process.services.clock
    assert isinstance(clock, Clock)
    messages = [identify("c-1", f"m-{n}") for n in range(60)]
    taken(fresh, key, *messages[:50])
    answer = send(fresh, key, *messages[:20])
    assert (answer.status_code, shaped(answer)["code"]) == (429, "rate_limited")
    assert answer.headers["retry-after"] == "10"
    taken(fresh, key, *messages[:10])
    assert send(fresh, key, messages[0]).headers["retry-after"] == "1"
    clock.now += 10 * SECOND
    taken(fresh, key, *messages[:10])
    clock.now += 60 * SECOND
    # More than it may send in a minute is let through once the minute is over.
    taken(fresh, key, *messages, *messages)
    assert send(fresh, key, messages[0]).status_code == 429
    clock.now -= 3_600 * SECOND
    assert int(send(fresh, key, messages[0]).headers["retry-after"]) <= 60


def test_what_can_not_be_stored_now_is_503(fresh: Service) -> None:
    key = make(fresh)
    fresh.runner.run(fresh.process.writer.stop())
    answer = send(fresh, key, identify("c-1"))
    assert (answer.status_code, shaped(answer)["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_more_than_the_writer_takes_is_503_and_never_400(databases: Any, tmp_path: Any) -> None:
    with service_of(databases, tmp_path, writer_queue=8) as service:
        key = make(service)
        messages = [identify(f"c-{n}", f"m-{n}", age=n) for n in range(50)]
        # A request of more customers than the writer's queue holds takes its turns.
        taken(service, key, *messages)
        assert traits(service, "c-49") == {"age": 49}

        async def at_once() -> list[httpx.Response]:
            sending = (
                service.client.post("/v1/batch", json={"batch": messages}, headers=basic(key))
                for _ in range(3)
            )
            return await asyncio.gather(*sending)

        answers = service.runner.run(at_once())
        assert {answer.status_code for answer in answers} == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert shaped(answer)["code"] == "unavailable"
                assert int(answer.headers["retry-after"]) >= 1
