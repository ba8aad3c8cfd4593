"""The index of circles answers as each circle does by itself, at rims, poles and the date line."""

import math
from random import Random

import pytest

from service.core.geography import Circle, CircleIndex, Point, circle, vector

SIZES = (0.0, 0.001, 0.5, 5.0, 13.0, 80.0, 900.0, 6_000.0, 15_000.0, 20_015.0, 20_016.0)
CENTRES: tuple[Point, ...] = (
    (0.0, 0.0), (50.1, 14.4), (-33.9, 151.2), (90.0, 0.0), (-90.0, 17.0), (89.95, -120.0),
    (12.0, 180.0), (-12.0, -180.0), (65.0, 179.97), (0.0625, 0.125),
)  # fmt: skip


def circles(rng: Random) -> dict[int, Circle]:
    return {
        bit: circle(rng.choice(CENTRES), rng.choice(SIZES) * rng.choice((1.0, rng.random())))
        for bit in range(60)
    }


def near_rim(rng: Random, each: Circle) -> Point:
    """A point close to a circle's rim: a way off its centre along some bearing."""
    angle = min(each.km / 6371.0088, math.pi) * rng.choice((1.0, 1 - 1e-12, 1 + 1e-12, 0.99, 1.01))
    lat, lon = (math.radians(part) for part in each.centre)
    bearing = rng.uniform(0, 2 * math.pi)
    north = math.asin(
        max(-1.0, min(1.0, math.sin(lat) * math.cos(angle)
                      + math.cos(lat) * math.sin(angle) * math.cos(bearing)))
    )  # fmt: skip
    east = lon + math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(lat),
        math.cos(angle) - math.sin(lat) * math.sin(north),
    )
    return math.degrees(north), (math.degrees(east) + 180) % 360 - 180


@pytest.mark.parametrize("seed", range(20))
def test_it_answers_as_every_circle_by_itself(seed: int) -> None:
    rng = Random(seed)
    shapes = circles(rng)
    index = CircleIndex(list(shapes.items()))
    inside = outside = 0
    for _ in range(300):
        place = rng.choice(
            (
                near_rim(rng, rng.choice(list(shapes.values()))),
                rng.choice(CENTRES),
                (rng.uniform(-90, 90), rng.uniform(-180, 180)),
            )
        )
        found = index.containing(place)
        for bit, each in shapes.items():
            expected = each.contains(vector(place))
            assert bool(found >> bit & 1) is expected, (place, each)
            inside += expected
            outside += not expected
    assert inside > 1_000
    assert outside > 1_000
