"""Points and circles on the earth, taken as a sphere."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from service.core.bits import bits_of, positions_of

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
    """Which of many circles contain a point, as a bitset.

    Bands of latitude and longitude around each circle leave out most circles, and bands of a box
    within it take most others in; only those between are computed.
    """

    def __init__(self, circles: Mapping[int, Circle]) -> None:
        """`circles`: by the bit that stands for each."""
        self.everyone = bits_of(circles)
        self._shapes = {bit: (*each.to, each.chord) for bit, each in circles.items()}
        outer = {bit: _outer_box(each) for bit, each in circles.items()}
        inner = {bit: box for bit, each in circles.items() if (box := _inner_box(each))}
        self._lats = _Bands({bit: (box[0], box[1]) for bit, box in outer.items()})
        self._lons = _Bands({bit: (box[2], box[3]) for bit, box in outer.items()})
        self._sure_lats = _Bands({bit: (box[0], box[1]) for bit, box in inner.items()})
        self._sure_lons = _Bands({bit: (box[2], box[3]) for bit, box in inner.items()})

    def containing(self, place: Point) -> int:
        """The bits of the circles that contain a point."""
        lat, lon = place
        inside = self._lats.around(lat) & self._lons.around(lon)
        if not inside:
            return 0
        unsure = inside & ~(self._sure_lats.around(lat) & self._sure_lons.around(lon))
        if not unsure:
            return inside
        px, py, pz = vector(place)
        shapes = self._shapes
        outside = []
        for bit in positions_of(unsure):
            # As Circle.contains, step by step the same: both must round alike.
            x, y, z, chord = shapes[bit]
            dx, dy, dz = px - x, py - y, pz - z
            if dx * dx + dy * dy + dz * dz > chord:
                outside.append(bit)
        return inside & ~bits_of(outside)


class _Bands:
    """For each stretch between sorted bounds, the bitset of intervals that cover it."""

    def __init__(self, intervals: Mapping[int, tuple[float, float]]) -> None:
        starts: dict[float, list[int]] = defaultdict(list)
        ends: dict[float, list[int]] = defaultdict(list)
        for bit, (low, high) in intervals.items():
            starts[low].append(bit)
            ends[high].append(bit)
        self._bounds = sorted({*starts, *ends})
        self._covering = [0]
        current = 0
        for bound in self._bounds:
            current = current & ~bits_of(ends.get(bound, ())) | bits_of(starts.get(bound, ()))
            self._covering.append(current)

    def around(self, value: float) -> int:
        """The bits of the intervals that hold a value."""
        return self._covering[bisect_right(self._bounds, value)]


Box = tuple[float, float, float, float]  # lowest and highest latitude, then longitude


def _outer_box(each: Circle) -> Box:
    """Bounds that surely hold a circle, widened a little so that rounding loses nothing. A
    circle over a pole or the date line takes all longitudes."""
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


def _inner_box(each: Circle) -> Box | None:
    """A box that surely lies within a circle: its corners do, with a little to spare, and along
    each of its sides the distance to the centre is greatest at a corner. None for circles so
    large, or so near a pole, that this is not plain."""
    lat, lon = each.centre
    height = math.degrees(each.km / EARTH_RADIUS_KM) / math.sqrt(2) * 0.98
    if height > 10 or abs(lat) + height > 75:
        return None
    width = height / math.cos(math.radians(abs(lat) + height))
    box = lat - height, lat + height, lon - width, lon + width
    if box[2] < -180 or box[3] > 180:
        return None
    smaller = each._replace(chord=each.chord * (1 - 1e-9) - 1e-15)
    while not all(smaller.contains(vector((a, b))) for a in box[:2] for b in box[2:]):
        width *= 0.95
        box = box[0], box[1], lon - width, lon + width
        if width < height / 4:
            return None
    return box
