"""System checks: what cannot be meant so is named before it costs an event."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.test import override_settings

from core.events import Event, EventSignal, registry
from core.events.checks import check_database, check_declarations, check_routes


def handler(event: Event) -> None:
    """Do nothing."""


def messages(*ids: str) -> list[CheckMessage]:
    """Return what the route checks say under these ids."""
    return [message for message in check_routes(None) if message.id in ids]


def test_the_checks_run_with_all_others() -> None:
    """`manage.py check` runs them."""
    registry.route("no.such.event", name="lonely")(handler)
    assert any("'lonely'" in message.msg for message in run_checks())


@pytest.mark.parametrize("pattern", ["ordr.*", "order.pald", "*.nothing"])
def test_a_pattern_that_matches_no_signal_is_a_warning(pattern: str) -> None:
    """It names route and pattern; a signal that was probably meant is the hint."""
    _signal = EventSignal("order.paid")
    registry.route(pattern, name="lonely")(handler)
    (message,) = messages("signalbox.W002")
    assert not message.is_serious()
    assert "'lonely'" in message.msg
    assert repr(pattern) in message.msg
    assert message.hint
    if pattern == "order.pald":
        assert "'order.paid'" in message.hint


def test_a_pattern_that_matches_is_fine() -> None:
    """A signal, a glob and `*` find what is declared."""
    signal = EventSignal("order.paid")
    registry.route(signal, "order.*", "*", name="fine")(handler)
    assert messages("signalbox.W002") == []


def test_a_handler_that_a_worker_could_not_import_is_a_warning() -> None:
    """A function inside a function is known only to the process that made it."""

    @registry.route("order.*", name="hidden")
    def inner(event: Event) -> None:
        """Do nothing."""

    registry.route("order.*", name="nameless")(lambda event: None)
    registry.route("order.*", name="open")(handler)
    named = [message.msg for message in messages("signalbox.W003")]
    assert len(named) == 2
    assert "'hidden'" in named[0]
    assert "'nameless'" in named[1]


def test_a_queue_that_nobody_consumes_is_a_warning() -> None:
    """It names the route, the queue and those there are."""
    registry.route("order.*", name="lost", queue="notificatoins")(handler)
    (message,) = messages("signalbox.W004")
    assert "'lost'" in message.msg
    assert "'notificatoins'" in message.msg
    assert "notifications" in (message.hint or "")


def test_two_signals_of_one_name_are_an_error() -> None:
    """Only one of them could be upcast and masked."""
    first, second = EventSignal("order.paid"), EventSignal("order.paid")
    (message,) = check_declarations(None)
    assert message.is_serious()
    assert "'order.paid'" in message.msg
    assert first is not second


@override_settings(EVENTS_DATABASE="nowhere")
def test_a_database_that_is_not_there_does_not_break_the_checks() -> None:
    """The settings check names it; the others go on."""
    assert check_database(None, databases=["default"]) == []
    assert any("'nowhere'" in message.msg for message in run_checks())


@pytest.mark.django_db
def test_the_migrations_are_complete(capsys: Any) -> None:
    """What the models say is what the migrations make."""
    call_command("makemigrations", "signalbox_events", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("sender", "hint"),
    [("nope.Nope", "label"), ("auth.Usr", "'auth.user'"), ("auth.usr", "'auth.user'")],
)
def test_a_sender_that_is_no_installed_model_is_a_warning(sender: str, hint: str) -> None:
    """It would match no event at all; a model that was probably meant is the hint."""
    _signal = EventSignal("order.paid")
    registry.route("order.paid", name="lonely", sender=sender)(handler)
    (message,) = messages("signalbox.W005")
    assert repr(sender) in message.msg
    assert hint in (message.hint or "")


@pytest.mark.parametrize(
    "sender", ["auth.User", "auth.user", CheckMessage, "json.JSONDecoder", None]
)
def test_a_sender_that_exists_is_fine(sender: Any) -> None:
    """A model by any spelling of its label, or a class that is no model."""
    _signal = EventSignal("order.paid")
    registry.route("order.paid", name="busy", sender=sender)(handler)
    assert messages("signalbox.W005") == []
