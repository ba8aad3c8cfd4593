"""Points and circles on the earth, taken as a sphere."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from service.core.bits import positions_of

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG

Point = tuple[float, float]  # latitude and longitude in degrees
Vector = tuple[float, float, float]


def vector(place: Point) -> Vector:
    """A point as a vector of length 1 from the earth's centre."""
    lat, lon = math.radians(place[0]), math.radians(place[1])
    level = math.cos(lat)
    return level * math.cos(lon), level * math.sin(lon), math.sin(lat)


class Circle(NamedTuple):
    """All points within a great-circle distance of a centre.

    `chord` is the square of the straight line through the unit sphere that the distance spans:
    (2 sin(km / 2R))^2, which grows with the distance and needs no arc function to compare.
    """

    centre: Point
    km: float
    to: Vector
    chord: float

    def contains(self, place: Vector) -> bool:
        """Whether the point of a unit vector lies within, the rim included."""
        x, y, z = self.to
        dx, dy, dz = place[0] - x, place[1] - y, place[2] - z
        return dx * dx + dy * dy + dz * dz <= self.chord


def circle(centre: Point, km: float) -> Circle:
    """The circle of that radius about a point."""
    angle = min(km / EARTH_RADIUS_KM, math.pi)
    # All of the earth, whatever rounding says of the antipode.
    chord = (2 * math.sin(angle / 2)) ** 2 if angle < math.pi else math.inf
    return Circle(centre, km, vector(centre), chord)


class CircleIndex:
    """Which of many circles contain a point: bands of latitude and longitude leave few to ask."""

    def __init__(self, circles: Sequence[Circle]) -> None:
        self._shapes = [(*each.to, each.chord) for each in circles]
        boxes = [_box(each) for each in circles]
        self._lats = _Bands([(box[0], box[1]) for box in boxes])
        self._lons = _Bands([(box[2], box[3]) for box in boxes])

    def containing(self, place: Point) -> list[int]:
        """Indices of the circles that contain a point."""
        candidates = self._lats.around(place[0]) & self._lons.around(place[1])
        if not candidates:
            return []
        px, py, pz = vector(place)
        shapes = self._shapes
        found = []
        for index in positions_of(candidates):
            # As Circle.contains, step by step the same: both must round alike.
            x, y, z, chord = shapes[index]
            dx, dy, dz = px - x, py - y, pz - z
            if dx * dx + dy * dy + dz * dz <= chord:
                found.append(index)
        return found


class _Bands:
    """For each stretch between sorted bounds, the bitset of intervals that cover it."""

    def __init__(self, intervals: Sequence[tuple[float, float]]) -> None:
        self.bounds = sorted({bound for interval in intervals for bound in interval})
        ends: dict[float, int] = {}
        starts: dict[float, int] = {}
        for index, (low, high) in enumerate(intervals):
            starts[low] = starts.get(low, 0) | 1 << index
            ends[high] = ends.get(high, 0) | 1 << index
        self.covering = [0]
        current = 0
        for bound in self.bounds:
            current = current & ~ends.get(bound, 0) | starts.get(bound, 0)
            self.covering.append(current)

    def around(self, value: float) -> int:
        return self.covering[bisect_right(self.bounds, value)]


def _box(each: Circle) -> tuple[float, float, float, float]:
    """Bounds of latitude and longitude that surely hold a circle, widened a little so that
    rounding loses nothing. A circle over a pole or the date line takes all longitudes."""
    lat, lon = each.centre
    angle = math.degrees(min(each.km / EARTH_RADIUS_KM, math.pi)) * (1 + 1e-9) + 1e-7
    low, high = lat - angle, lat + angle
    everywhere = (low, high, -181.0, 181.0)
    if low <= -90 or high >= 90:
        return everywhere
    # The meridians that touch the circle: sin(dlon) = sin(angle) / cos(lat).
    ratio = math.sin(math.radians(angle)) / math.cos(math.radians(lat))
    if ratio >= 1:
        return everywhere
    width = math.degrees(math.asin(ratio)) + 1e-7
    if lon - width < -180 or lon + width > 180:
        return everywhere
    return low, high, lon - width, lon + width
