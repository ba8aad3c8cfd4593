"""Scoring together what is asked for at the same time.

A model's run costs about the same for one customer as for sixteen. Requests that the event loop
takes up in one turn wait for each other's profiles, which takes no longer than that turn.
"""

import asyncio
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from service.core.decisions import Outputs, Undecidable
from service.live import Served

Asked = tuple[Served, Mapping[str, Any], "asyncio.Future[Outputs]"]


class ScoringTogether:
    """Gathers the profiles of one turn of the event loop."""

    def __init__(self) -> None:
        self._asked: list[Asked] = []
        self._elsewhere: set[asyncio.Task[None]] = set()

    async def outputs(self, served: Served, profile: Mapping[str, Any]) -> Outputs:
        """What every model says of one profile. Raises Undecidable."""
        if not served.models:
            return {}
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outputs] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._score)
        self._asked.append((served, profile, answer))
        return await answer

    def _score(self) -> None:
        asked, self._asked = self._asked, []
        # The catalog may have been swapped in the middle of a turn.
        for _, group in groupby(asked, key=lambda each: id(each[0])):
            together = list(group)
            served = together[0][0]
            if served.blocking:
                task = asyncio.create_task(_score_elsewhere(served, together))
                self._elsewhere.add(task)
                task.add_done_callback(self._elsewhere.discard)
            else:
                _settle(together, _scored(served, together))


async def _score_elsewhere(served: Served, asked: list[Asked]) -> None:
    _settle(asked, await asyncio.to_thread(_scored, served, asked))


def _scored(served: Served, asked: list[Asked]) -> list[Outputs] | Undecidable:
    try:
        return served.score_many([profile for _, profile, _ in asked])
    except Undecidable as error:
        return error


def _settle(asked: list[Asked], outputs: list[Outputs] | Undecidable) -> None:
    for place, (_, _, answer) in enumerate(asked):
        if answer.done():  # who asked is gone
            continue
        if isinstance(outputs, Undecidable):
            answer.set_exception(outputs)
        else:
            answer.set_result(outputs[place])
