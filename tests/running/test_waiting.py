"""Places that are taken, mostly from the front."""

from __future__ import annotations

import random
from itertools import islice

from nst_batch.running.waiting import LOOKED_AT, Places


def test_places_are_taken_anywhere() -> None:
    chance, left = random.Random(1), set(range(300))
    places = Places((120, 300), left.__contains__)
    while left:
        assert list(places) == sorted(left)
        one = chance.choice(sorted(left))
        assert list(places.behind(one)) == [place for place in sorted(left) if place >= one]
        left.remove(one)
        places.take(one)
    assert list(places) == [] and places.first(lambda _: True) is None


def test_what_is_closed_is_passed_over() -> None:
    closed = {0, 1, 2, 50, 51, 120}
    places = Places((100, 200), lambda place: place not in closed)
    assert places.first(lambda _: True) == 3 and list(islice(places.behind(49), 2)) == [49, 52]
    closed.update(range(200))
    assert places.first(lambda _: True) is None and list(places) == []


def test_the_first_that_fits_is_found_near_and_far_in_every_range() -> None:
    places = Places((10_000, 20_000), lambda place: place != 9000)
    for first in (0, 5, LOOKED_AT - 1, LOOKED_AT, 4567, 9999):
        assert places.first(range(first, 10_000).__contains__) == first
    assert places.first(lambda place: 9000 <= place < 10_000) == 9001
    assert places.first(lambda place: place >= 15_000) == 15_000
    assert places.first(lambda _: False) is None


def test_a_million_are_not_asked() -> None:
    asked: list[int] = []

    def fits(place: int) -> bool:
        asked.append(place)
        return place >= 900_000

    places = Places((1_000_000,), lambda _: True)
    for place in range(900_000, 900_100):
        assert places.first(fits) == place
        places.take(place)
    assert len(asked) < 100 * (LOOKED_AT + 50)
    assert places.first(lambda _: True) == 0
