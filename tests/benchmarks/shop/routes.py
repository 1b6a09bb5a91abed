"""What Signalbox does with the events of the shop. The other sides have tasks instead."""

from __future__ import annotations

from config.settings.celery import QUEUES
from core.events import Event, registry
from tests.benchmarks.stamps import PLAIN
from workers.analytics.routes import track

from . import effects
from .signals import counted, fired, sold
from .stamping import stamped


def _wire_effects() -> None:
    """Put a stamp behind the project's own four routes, and leave all else about them as it is."""
    effects.declare(sold.name)
    track(sold)
    for number, handler in enumerate(effects.EFFECTS):
        (route,) = (each for each in registry.routes() if each.handler is handler)
        options = {name: getattr(route, name) for name in _KEPT}
        registry.unroute(route.name)
        registry.route(sold, **options)(stamped(number, handler))


_KEPT = ("name", "queue", "batch_size", "atomic", "when", "backoff", "lease", "max_attempts")


def _wire_nothing() -> None:
    """Add the routes that do nothing, over all queues of the project."""
    for routes, signal in fired.items():
        for number in range(routes):
            queue = QUEUES[number % len(QUEUES)]
            registry.route(signal, name=f"nothing.{routes}.{number}", queue=queue)(_nothing())


def _nothing() -> object:
    def nothing(event: Event) -> None:
        """Do nothing."""

    return nothing


_wire_effects()
_wire_nothing()
registry.route(counted, name="count.one")(stamped(PLAIN, effects.count_one))
