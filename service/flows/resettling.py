"""Orders that waited for a rate of exchange, settled once there is one."""

from collections.abc import Callable
from dataclasses import replace

from service.core.decisions import Input
from service.core.instants import zone_named
from service.settings import Settings
from service.store.database import Database
from service.store.jobs import JobRow
from service.store.ordering import settle_orders
from service.store.orders import Key, with_a_rate
from service.store.writer import Writer

BLOCK = 500


class Resettler:
    """Settles what waited."""

    def __init__(
        self, database: Database, writer: Writer, settings: Settings, clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._writer = writer
        self._settings = settings
        self._clock = clock

    async def settle(self, job: JobRow) -> int:
        """Settle all orders whose rate has come: how many. Their customers are decided with them.
        Raises what the writer does."""
        done = 0
        while True:
            async with self._database.engine.connect() as connection:
                raw = (await connection.get_raw_connection()).driver_connection
                waiting = await with_a_rate(raw, self._settings.time_zone, BLOCK)
            if not waiting:
                return done
            owned: dict[str, list[Key]] = {}
            nobodys = [key for key, owner in waiting if owner is None]
            for key, owner in waiting:
                if owner is not None:
                    owned.setdefault(owner, []).append(key)
            now = self._clock()
            looked_at = Input({}, now, source="orders", seen=False)
            answers = [
                self._writer.touch(owner, replace(looked_at, unsettled=tuple(keys)))
                for owner, keys in owned.items()
            ]
            for answer in answers:
                await answer
            if nobodys:
                async with self._database.engine.begin() as connection:
                    raw = (await connection.get_raw_connection()).driver_connection
                    zone = zone_named(self._settings.time_zone)
                    await settle_orders(raw, [], nobodys, self._settings.base_currency, zone, now)
            done += len(waiting)
