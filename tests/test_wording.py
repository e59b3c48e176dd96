"""Numbers of every scale as a reader meets them."""

from types import SimpleNamespace

import numpy as np
import pytest

from migration_kit.wording import Unit, unit_of


def criterion(kind: str, margin: float | None = None, *, at_least: float | None = None, unit: str | None = None):
    levels = {"binary": (0, 1), "ordinal": (1, 2, 3, 4, 5), "pairwise": (-1, 0, 1), "continuous": ()}[kind]
    score = levels if at_least is None else tuple(float(level >= at_least) for level in levels)
    in_points = kind in ("binary", "pairwise") or at_least is not None
    return SimpleNamespace(kind=kind, levels=levels, score=score, in_points=in_points, margin=margin, unit=unit)


@pytest.mark.parametrize(("one", "quality", "change", "with_unit", "size", "span"), [
    (criterion("binary", 0.03), "82.1%", "−2.1", "−2.1 points", "2.1 points", "−2.1 to +3.0"),
    (criterion("ordinal", 0.1, at_least=4), "82.1%", "−2.1", "−2.1 points", "2.1 points", "−2.1 to +3.0"),
    (criterion("pairwise", 0.1), "+82.1%", "−2.1", "−2.1 points", "2.1 points", "−2.1 to +3.0"),
    (criterion("ordinal", 0.2), "0.82", "−0.02", "−0.02", "0.02", "−0.02 to +0.03"),
    (criterion("continuous", 0.02), "0.821", "−0.021", "−0.021", "0.021", "−0.021 to +0.030"),
    (criterion("continuous"), "0.821", "−0.0210", "−0.0210", "0.021", "−0.0210 to +0.0300"),
    (criterion("continuous", 0.02, unit="s"), "0.821", "−0.021", "−0.021 s", "0.021 s", "−0.021 to +0.030"),
])
def test_numbers_of_a_scale(one, quality, change, with_unit, size, span):
    unit = unit_of(one)
    assert unit.quality(0.821) == quality
    assert unit.change(-0.021) == change
    assert unit.change(-0.021, unit=True) == with_unit
    assert unit.size(-0.021) == size
    assert unit.span(-0.021, 0.03) == span


def test_a_unit_stands_where_a_sentence_asks_for_it():
    seconds = unit_of(criterion("continuous", 0.5, unit="seconds"))
    assert seconds.quality(1.738, unit=True) == "1.74 seconds" and seconds.size(0.5) == "0.5 seconds"
    assert seconds.axis == "mean, in seconds" and seconds.contrast_axis == "in seconds"
    assert unit_of(criterion("binary")).quality(0.5, unit=True) == "50.0%"


def test_margins_are_written_as_a_plan_writes_them():
    assert unit_of(criterion("binary", 0.03)).size(0.03) == "3 points"
    assert unit_of(criterion("ordinal", 0.2)).size(0.2) == "0.2"
    assert unit_of(criterion("continuous", 30)).size(30) == "30"
    assert unit_of(criterion("continuous", 2.5)).size(2.5) == "2.5"
    assert unit_of(criterion("ordinal", 0.2)).size(0.3004) == "0.30"


def test_a_turning_point_is_rounded_to_the_side_that_is_meant():
    points, level = unit_of(criterion("binary", 0.03)), unit_of(criterion("ordinal", 0.2))
    assert (points.limit(0.0803, up=True), points.limit(0.0807, up=False)) == ("8.1 points", "8 points")
    assert (level.limit(0.3004, up=True), level.limit(0.3096, up=False)) == ("0.31", "0.3")
    # A value that is no more than a rounding error off stays.
    assert points.limit(0.1 + 0.2, up=True) == "30 points" and points.limit(0.03, up=False) == "3 points"
    assert points.limit(0.0003, up=False) == "0.1 points"
    assert points.limit(np.nan, up=True) == points.size(np.nan)


@pytest.mark.parametrize(("kind", "margin", "digits"), [
    ("ordinal", None, 2), ("ordinal", 0.05, 3), ("continuous", 3, 1), ("continuous", 40, 0), ("continuous", None, None),
])
def test_decimals_follow_the_margin_or_the_scale(kind, margin, digits):
    assert unit_of(criterion(kind, margin)).digits == digits


def test_qualities_and_their_intervals():
    assert unit_of(criterion("ordinal")).quality_span(3.314, 3.519) == "3.31 to 3.52"
    assert unit_of(criterion("binary")).quality_span(0.78, 0.862) == "78.0% to 86.2%"
    assert unit_of(criterion("pairwise")).quality(0.0) == "0.0%"
    assert unit_of(criterion("continuous", 0.5)).quality(-1.25) == "−1.25"


def test_what_is_unknown_is_a_dash():
    for unit in (unit_of(criterion("binary")), unit_of(criterion("ordinal")), unit_of(criterion("continuous"))):
        assert {unit.quality(np.nan), unit.change(np.nan, unit=True), unit.size(np.nan), unit.span(np.nan, 1),
                unit.quality_span(0, np.nan)} == {"–"}


def test_axes_say_what_they_count():
    said = {kind: unit_of(criterion(kind)).axis for kind in ("binary", "ordinal", "continuous", "pairwise")}
    assert said == {"binary": "rate in percent", "ordinal": "mean score, 1 to 5",
                    "continuous": "mean, in its own unit", "pairwise": "net win rate in percent"}
    share = unit_of(criterion("ordinal", at_least=4))
    assert share.noun == "share at 4 or above" and share.scale == 100
    assert isinstance(share, Unit) and unit_of(criterion("ordinal")).scale == 1
