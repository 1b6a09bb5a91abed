"""What happens in the demo, act by act, while the crowd buys tickets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from redis import Redis

from config.demo import cast, figures
from config.demo.fakes import Failure, FakeServer
from config.demo.routes import LONGEST_LEASE
from config.demo.traffic import Crowd, Ledger
from config.demo.view import View
from config.stack import Stack, StackError
from workers.notifications.models import Notification, Status
from workers.notifications.sending import send_again

TICK = 0.25
BUYERS = 6
# A slow machine sells less, so that everybody sees the end within two minutes.
SALE_SECONDS = 45.0
# Enough for the backoffs of what failed, on a slow machine.
DRAIN_SECONDS = 90.0
NEW_FEE = "12.50"
GUIDE_ROUTE = "tickets.city-guide"


class Story:
    """Plays the demo on a running stack; `ledger` is what the crowd was told."""

    def __init__(self, stack: Stack, fakes: FakeServer, view: View, *, orders: int) -> None:
        self.stack = stack
        self.fakes = fakes
        self.view = view
        self.orders = orders
        self.cast: cast.Cast
        self.crowd: Crowd
        self.died = 0
        # Never set: a pause that Ctrl-C ends at once.
        self._clock = threading.Event()

    @property
    def ledger(self) -> Ledger:
        """What the API told the crowd."""
        return self.crowd.ledger

    def play(self) -> None:
        """Let everything happen, until every delivery is settled."""
        self.view.note("the curtain rises: accounts, an organiser, happenings on sale")
        # Each order takes 3.2 tickets on average, spread over the happenings; nobody runs short.
        self.cast = cast.gather(self.stack.web, buyers=BUYERS, capacity=self.orders * 2)
        self._services_fail()
        self._sell()
        self._drain()
        self._mend()
        self._decide_unknown()
        self._drain()

    def _sell(self) -> None:
        acts: list[tuple[float, Callable[[], None]]] = [
            (0.15, self._publish_poison),
            (0.40, self._kill_worker),
            (0.60, self._change_fee),
            (0.75, self._empty_broker),
        ]
        self.crowd = Crowd(
            self.cast.buyers,
            self.cast.happenings,
            self.cast.small,
            target=self.orders,
            seconds=SALE_SECONDS,
        )
        self.crowd.start()
        try:
            while not self.crowd.done:
                self._tick()
                while acts and self.crowd.progress >= acts[0][0]:
                    acts.pop(0)[1]()
        finally:
            self.crowd.stop()
        for _, act in acts:
            # The crowd was quicker than the clock.
            act()
        refused = sum(self.ledger.refused.values())
        self.view.note(
            f"everybody has bought; {refused} baskets were rolled back after their first event, "
            f"{self.ledger.repeated} orders were sent twice"
        )

    def _services_fail(self) -> None:
        self.fakes.fail("twilio", Failure(times=10, status=503))
        self.fakes.fail("posthog", Failure(times=3, status=500))
        self.view.note(
            "Twilio answers 503 to the first ten messages, PostHog 500 to the first three batches: "
            "tried again later"
        )

    def _publish_poison(self) -> None:
        self.fakes.fail("webhook", Failure(times=-1, status=500, containing="Ghost Train"))
        self.cast.publish(cast.UNLISTABLE, capacity=10)
        self.view.note(f"a happening named {cast.UNLISTABLE!r}: the city guide cannot store it")

    def _kill_worker(self) -> None:
        self.stack.kill("worker")
        self.view.note(
            "kill -9 of the worker and its pool; what it held comes back when its leases end, "
            f"here after at most {LONGEST_LEASE:.0f} s"
        )

    def _change_fee(self) -> None:
        self.cast.staff.must("PUT", "platform-fee", {"percentage": NEW_FEE})
        self.view.note(f"the platform fee becomes {NEW_FEE} %")

    def _empty_broker(self) -> None:
        assert self.stack.valkey
        with Redis.from_url(self.stack.valkey.url()) as server:
            server.flushall()
        self.view.note("FLUSHALL: broker and cache are empty")

    def _mend(self) -> None:
        self.died = figures.read().total.dead
        self.view.note(f"{self.died} dead: the poison, kept with its error; its neighbours went on")
        self.fakes.heal("webhook")
        self.stack.manage("events", "retry", "--route", GUIDE_ROUTE)
        self.view.note("the city guide is mended: manage.py events retry")

    def _decide_unknown(self) -> None:
        """Do what a person would: look at Twilio's log for each SMS that was cut off."""
        arrived = {item.key for item in self.fakes.received("twilio")}
        unknown = list(Notification.objects.filter(status=Status.UNKNOWN))
        missing = [each.pk for each in unknown if f"{each.address}|{each.body}" not in arrived]
        if unknown:
            self.view.note(
                f"{len(unknown)} SMS cut off by the kill, so not repeated on suspicion: Twilio's "
                f"log has {len(unknown) - len(missing)}, {len(missing)} sent again by hand"
            )
        send_again(Notification.objects.filter(pk__in=missing))

    def _drain(self) -> None:
        """Wait until everything is settled or dead; raises StackError when it takes too long."""
        self.stack.wait_ready("worker")
        deadline = time.monotonic() + DRAIN_SECONDS
        while pending := self._tick().total.pending:
            if time.monotonic() > deadline:
                raise StackError(f"{pending} deliveries wait after {DRAIN_SECONDS:.0f} s")

    def _tick(self) -> figures.Snapshot:
        snapshot = figures.read()
        self.view.show(snapshot, self.crowd.sent, self.orders)
        self._clock.wait(TICK)
        return snapshot
