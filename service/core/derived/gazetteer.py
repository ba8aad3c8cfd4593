"""The gazetteer: which cities there are, found by country and name however it is written.

A name is found in any language and spelling that the table has, without regard to case, accents and
punctuation. Of several cities of one name in a country the one that is called so counts before
those that are also called so, then the larger one. All of it takes a few megabytes: a hash of each
name and the place of its city, in order.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

REMEMBERED = 10_000
# Longer ones are none of these names.
LENGTH = 200

_APART = re.compile(r"[\W_]+")


class City(NamedTuple):
    """A city: degrees, and how many people live there."""

    lat: float
    lon: float
    population: int


class Row(NamedTuple):
    """A city as a table has it. `country`: ISO 3166, two letters; `region`: a code of a part of the
    country, empty where none is in use; `names`: the name, then what it is also called."""

    country: str
    region: str
    names: Sequence[str]
    city: City


class Gazetteer:
    """Cities and countries by their names."""

    def __init__(
        self,
        rows: Iterable[Row],
        countries: Mapping[str, str],
        regions: Mapping[tuple[str, str], str],
    ) -> None:
        """`countries`: codes by names; `regions`: codes by country and name."""
        self._countries = {folded(name): code for name, code in countries.items()}
        self._regions = {(country, folded(name)): code for (country, name), code in regions.items()}
        cities: list[City] = []
        # By the key of a name: whether it is but another one, how large the city is, negated, and
        # where, so that of two as large it is always the same one; its place here.
        best: dict[int, tuple[bool, int, float, float, int]] = {}
        for country, region, names, city in rows:
            place = len(cities)
            cities.append(city)
            parts = (country,) if not region else (country, f"{country} {region}")
            for number, name in enumerate(names):
                rank = (number > 0, -city.population, city.lat, city.lon, place)
                text = folded(name)
                for part in parts if text else ():
                    key = hash((part, text))
                    known = best.get(key)
                    if known is None or rank < known:
                        best[key] = rank
        keys = np.fromiter(best, dtype=np.int64, count=len(best))
        order = keys.argsort()
        places = np.fromiter((rank[-1] for rank in best.values()), np.int32, count=len(best))
        self._keys = keys[order]
        self._places = places[order]
        self._lats = np.array([city.lat for city in cities])
        self._lons = np.array([city.lon for city in cities])
        self._populations = np.array([city.population for city in cities], dtype=np.int64)
        self.find = lru_cache(maxsize=REMEMBERED)(self._find)

    @property
    def size(self) -> int:
        """How much memory the table takes, in bytes."""
        parts = (self._keys, self._places, self._lats, self._lons, self._populations)
        return sum(each.nbytes for each in parts)

    def _find(self, name: str, country: str, region: str | None) -> City | None:
        """The city of that name in a country, in that part of it if there is one; None where none
        is known. `country`: a code of two or three letters or a name."""
        code = self._countries.get(folded(country))
        text = folded(name)
        if code is None or not text:
            return None
        if region is not None:
            part = self._regions.get((code, folded(region)), "")
            found = self._at(hash((f"{code} {part}", text))) if part else None
            if found is not None:
                return found
        return self._at(hash((code, text)))

    def _at(self, key: int) -> City | None:
        place = bisect_left(self._keys, key)
        if place == len(self._keys) or self._keys[place] != key:
            return None
        at = self._places[place]
        return City(float(self._lats[at]), float(self._lons[at]), int(self._populations[at]))


def folded(name: str) -> str:
    """A name without case, accents and punctuation: `Saint-Étienne` is `saint etienne`."""
    if not name.isascii():
        name = unicodedata.normalize("NFKD", name[:LENGTH])
        name = "".join(each for each in name if not unicodedata.combining(each))
    return _APART.sub(" ", name[:LENGTH].casefold()).strip()
