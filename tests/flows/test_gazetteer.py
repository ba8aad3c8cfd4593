"""The gazetteer as its package ships it."""

import pytest

from service.flows.gazetteer import gazetteer, installed


def test_the_table_is_there() -> None:
    assert installed()


@pytest.mark.parametrize(
    ("name", "country", "region", "lat", "lon", "least"),
    [
        ("Praha", "Czech Republic", None, 50.1, 14.4, 1_000_000),
        ("München", "DE", None, 48.1, 11.6, 1_000_000),
        ("munich", "Deutschland", None, 48.1, 11.6, 1_000_000),
        ("Wien", "Österreich", None, 48.2, 16.4, 1_000_000),
        ("東京", "JPN", None, 35.7, 139.7, 5_000_000),
        ("New York", "USA", None, 40.7, -74.0, 5_000_000),
        ("Portland", "US", None, 45.5, -122.7, 500_000),
        ("Portland", "US", "ME", 43.7, -70.3, 50_000),
    ],
)
def test_cities_are_where_they_are(
    name: str, country: str, region: str | None, lat: float, lon: float, least: int
) -> None:
    city = gazetteer().find(name, country, region)
    assert city is not None
    assert (round(city.lat, 1), round(city.lon, 1)) == (lat, lon)
    assert city.population >= least


def test_it_is_small_and_loaded_once() -> None:
    assert gazetteer() is gazetteer()
    assert gazetteer().size < 10_000_000
