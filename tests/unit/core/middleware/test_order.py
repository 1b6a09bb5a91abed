"""`manage.py check` tells which middleware stands in the wrong place, and what the right one is."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from django.conf import settings as configured
from django.utils.module_loading import import_string
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.middleware.auth_middleware import AuthMiddleware
from core.middleware.order import ORDER, check_order

PAIRS = list(combinations(ORDER, 2))
# What needs another one is tested on its own.
NEEDY = {"core.W052", "core.E053"}


class OurAuth(AuthMiddleware):
    """What a project may derive."""


OURS = f"{OurAuth.__module__}.OurAuth"


def wrong(settings: Any, *middleware: Any) -> list[Any]:
    """Return what the check finds in this list, apart from what is missing."""
    settings.MIDDLEWARE = list(middleware)
    return [each for each in check_order(None) if each.id not in NEEDY]


def test_the_settings_of_the_system_are_in_order() -> None:
    """And name only what is there; every middleware of the order can be imported."""
    assert check_order(None) == []
    known = [path for path in configured.MIDDLEWARE if path in ORDER]
    assert sorted(known, key=ORDER.index) == known
    for path in ORDER:
        assert isinstance(import_string(path), type)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(p.split(".")[-1] for p in pair))
def test_every_pair(pair: tuple[str, str], settings: Any) -> None:
    """One order passes, the other is one error that names both."""
    first, second = pair
    assert wrong(settings, first, second) == []
    (found,) = wrong(settings, second, first)
    assert found.id == "core.E051"
    told = found.msg + found.hint
    assert first in told
    assert second in told


@pytest.mark.parametrize("path", ORDER)
def test_one_that_is_misplaced(path: str, settings: Any) -> None:
    """It alone is named, with its two neighbours, wherever it went."""
    others = [each for each in ORDER if each != path]
    place = ORDER.index(path)
    for index in range(len(ORDER)):
        found = wrong(settings, *others[:index], path, *others[index:])
        if index == place:
            assert found == []
        elif abs(index - place) > 1:
            (error,) = found
            assert path in error.msg
            for neighbour in ORDER[max(0, place - 1) : place] + ORDER[place + 1 : place + 2]:
                assert neighbour in error.hint
        else:
            assert len(found) == 1


@given(st.permutations(range(len(ORDER))))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_moving_what_is_named_mends_it(settings: Any, order: list[int]) -> None:
    """What is left without the misplaced ones is in order, and as long as can be."""
    listed = [ORDER[index] for index in order]
    named = {error.msg.split()[1] for error in wrong(settings, *listed)}
    left = [path for path in listed if path not in named]
    assert wrong(settings, *left) == []
    assert left


def test_what_is_missing_and_what_is_unknown(settings: Any) -> None:
    """Is nobody's business."""
    assert wrong(settings) == []
    assert wrong(settings, ORDER[0], "django.middleware.gzip.GZipMiddleware", ORDER[3]) == []


def test_twice(settings: Any) -> None:
    """The second one is superfluous."""
    (found,) = wrong(settings, ORDER[0], ORDER[1], ORDER[0])
    assert "there twice" in found.msg


def test_a_derived_one(settings: Any) -> None:
    """Belongs where its parent does."""
    django_auth = "django.contrib.auth.middleware.AuthenticationMiddleware"
    assert wrong(settings, django_auth, OURS) == []
    (found,) = wrong(settings, OURS, django_auth)
    assert OURS in found.msg + found.hint


def test_one_that_is_not_there(settings: Any) -> None:
    """Is named, with the reason."""
    (found,) = wrong(settings, "core.middleware.nothing.Nothing")
    assert found.id == "core.E050"
    assert "core.middleware.nothing" in found.msg


def test_what_is_no_path(settings: Any) -> None:
    """Is named as well."""
    (found,) = wrong(settings, 5)
    assert found.id == "core.E050"
    assert "MIDDLEWARE: 5 " in found.msg


@pytest.mark.parametrize(
    ("middleware", "source", "expected"),
    [
        (["sessions", "auth_middleware"], "claim", ["core.W052"]),
        (["auth_middleware"], "claim", []),
        (["tenant"], "claim", ["core.E053"]),
        (["tenant"], "header", []),
        (["auth_middleware", "tenant"], "claim", []),
    ],
)
def test_what_needs_another(
    middleware: list[str], source: str, expected: list[str], settings: Any
) -> None:
    """Sessions need Django's middleware, the tenant of a token needs the token to be read."""
    settings.TENANT_SOURCE = source
    settings.MIDDLEWARE = [
        path for path in ORDER if any(f".{name}." in path for name in middleware)
    ]
    assert [each.id for each in check_order(None)] == expected
