"""Points and circles on the earth, taken as a sphere."""

import math
from collections.abc import Sequence
from math import cos, radians, sin
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG

Point = tuple[float, float]  # latitude and longitude in degrees
Vector = tuple[float, float, float]
Vectors = npt.NDArray[np.float64]
# The bits of the circles that hold all of a cell; bit, centre and chord of those that hold a part.
Cell = tuple[int, list[tuple[int, float, float, float, float]]]

CELLS_A_DEGREE = 8
CELLS_REMEMBERED = 8_192
# Angles come from a cosine, which tells the smallest of them apart only so far: six metres.
ROUNDING = 1e-6


def vector(place: Point) -> Vector:
    """A point as a vector of length 1 from the earth's centre."""
    lat, lon = radians(place[0]), radians(place[1])
    level = cos(lat)
    return level * cos(lon), level * sin(lon), sin(lat)


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
    chord = (2 * sin(angle / 2)) ** 2 if angle < math.pi else math.inf
    return Circle(centre, km, vector(centre), chord)


class CircleIndex:
    """Which of many circles contain a point, as a bitset.

    The earth is laid out in cells. Of a cell it is found once which circles hold all of it and
    which only a part; a point is then asked only about the latter.
    """

    def __init__(self, circles: Sequence[tuple[int, Circle]]) -> None:
        """`circles`: each with the position of the bit that stands for it, and maybe others."""
        self._shapes = [(1 << bit, *each.to, each.chord) for bit, each in circles]
        self._centres = np.array([each.to for _, each in circles])
        self._angles = np.array(
            [np.inf if math.isinf(c.chord) else c.km / EARTH_RADIUS_KM for _, c in circles]
        )
        # By latitude and longitude of the cell's corner, counted in cells.
        self._cells: dict[tuple[float, float], Cell] = {}

    def containing(self, place: Point) -> int:
        """The bits of the circles that contain a point."""
        lat, lon = place
        at = lat * CELLS_A_DEGREE // 1, lon * CELLS_A_DEGREE // 1
        cell = self._cells.get(at)
        if cell is None:
            if len(self._cells) >= CELLS_REMEMBERED:
                self._cells = {}
            cell = self._cells[at] = self._cell(*at)
        inside, unsure = cell
        if unsure:
            px, py, pz = vector(place)
            for bit, x, y, z, chord in unsure:
                # As Circle.contains, step by step the same: both must round alike.
                dx, dy, dz = px - x, py - y, pz - z
                if dx * dx + dy * dy + dz * dz <= chord:
                    inside |= bit
        return inside

    def _cell(self, south: float, west: float) -> Cell:
        """The circles that hold all of a cell, and those that hold a part of it."""
        lats = [min((south + part) / CELLS_A_DEGREE, 90.0) for part in (0, 0.5, 1)]
        lons = [(west + part) / CELLS_A_DEGREE for part in (0, 0.5, 1)]
        middle = np.array(vector((lats[1], lons[1])))
        corners = np.array([vector((lat, lon)) for lat in lats[::2] for lon in lons[::2]])
        radius = float(_angles(corners, middle).max()) * 1.01 + ROUNDING
        distances = _angles(self._centres, middle)
        whole = distances + radius <= self._angles
        part = (distances - radius <= self._angles) & ~whole
        inside = 0
        for index in whole.nonzero()[0].tolist():
            inside |= self._shapes[index][0]
        return inside, [self._shapes[index] for index in part.nonzero()[0].tolist()]


def _angles(places: Vectors, other: Vectors) -> Vectors:
    """The angle between each vector of length 1 and another, in radians."""
    angles: Vectors = np.arccos(np.clip(places @ other, -1.0, 1.0))
    return angles
