"""The crowd: several people at once who buy, send twice, cancel, and want what is sold out."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from config.demo.client import ApiError, Client

SENT_TWICE = 0.05
CANCELLED = 0.04
WITH_PHONE = 0.25
TWO_HAPPENINGS = 0.10
SOLD_OUT_TOO = 0.04


@dataclass
class Ledger:
    """What the crowd was told by the API, to be compared with what happened."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sold(self, order: dict[str, Any], phone: str) -> None:
        """Note an order that the API confirmed, and the number for its SMS."""
        with self.lock:
            self.orders[order["id"]] = order
            if phone:
                self.phones[order["id"]] = phone

    def refuse(self, code: str) -> None:
        """Note an order that the API refused."""
        with self.lock:
            self.refused[code] += 1

    def repeat(self, order: dict[str, Any]) -> None:
        """Note the answer to an order that was sent a second time."""
        if order["id"] not in self.orders:
            raise ApiError(f"the repeated order became a new one: {order['id']}")
        with self.lock:
            self.repeated += 1

    def cancel(self, order_id: str) -> None:
        """Note a cancellation that the API confirmed."""
        with self.lock:
            self.cancelled.add(order_id)

    def took(self, seconds: float) -> None:
        """Note how long the API took for an order."""
        with self.lock:
            self.seconds.append(seconds)


class Crowd:
    """Buyers, each in a thread of its own, until they sent `target` orders or time is up."""

    def __init__(
        self,
        buyers: list[Client],
        happenings: list[str],
        sold_out: str,
        *,
        target: int,
        seconds: float,
    ) -> None:
        self.ledger = Ledger()
        self._target = target
        self._seconds = seconds
        self._buyers = buyers
        self._happenings = happenings
        self._sold_out = sold_out
        self._sent = 0
        self._started = 0.0
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(len(buyers), thread_name_prefix="buyer")
        self._running: list[Any] = []

    @property
    def sent(self) -> int:
        """How many orders were sent so far."""
        return self._sent

    @property
    def progress(self) -> float:
        """How much of the sale is over, by orders or by time, from 0 to 1."""
        passed = (time.monotonic() - self._started) / self._seconds
        return min(1.0, max(self._sent / self._target, passed))

    @property
    def done(self) -> bool:
        """Whether all have left; raises what went wrong for one of them."""
        finished = [each for each in self._running if each.done()]
        for each in finished:
            each.result()
        return len(finished) == len(self._running)

    def start(self) -> None:
        """Let them in."""
        self._started = time.monotonic()
        self._running = [
            self._pool.submit(self._shop, number, buyer)
            for number, buyer in enumerate(self._buyers)
        ]

    def stop(self) -> None:
        """Send them home and wait until they have gone."""
        self._stopped.set()
        self._pool.shutdown(wait=True)

    def _take_turn(self) -> int | None:
        with self.ledger.lock:
            if self.progress == 1 or self._stopped.is_set():
                return None
            self._sent += 1
            return self._sent

    def _shop(self, number: int, buyer: Client) -> None:
        dice = random.Random(number)
        bought: list[str] = []
        while (turn := self._take_turn()) is not None:
            order_id = self._order(dice, buyer, turn)
            if order_id:
                bought.append(order_id)
            if bought and dice.random() < CANCELLED:
                self._cancel(buyer, bought.pop(dice.randrange(len(bought))))

    def _order(self, dice: random.Random, buyer: Client, turn: int) -> str | None:
        phone = f"+4915{turn:09d}" if dice.random() < WITH_PHONE else ""
        order = {"token": str(uuid4()), "phone": phone, "items": self._basket(dice)}
        status, answer = self._timed(buyer, order)
        if status != 201:
            self.ledger.refuse(answer["error_code"])
            return None
        self.ledger.sold(answer, phone)
        if dice.random() < SENT_TWICE:
            self.ledger.repeat(buyer.must("POST", "orders", order))
        return str(answer["id"])

    def _timed(self, buyer: Client, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        started = time.monotonic()
        answer = buyer.call("POST", "orders", order)
        self.ledger.took(time.monotonic() - started)
        return answer

    def _basket(self, dice: random.Random) -> list[dict[str, Any]]:
        number = 2 if dice.random() < TWO_HAPPENINGS else 1
        wanted = dice.sample(self._happenings, number)
        if dice.random() < SOLD_OUT_TOO:
            # Comes last: the tickets before it are sold, announced, and taken back with it.
            wanted.append(self._sold_out)
        return [{"happening": each, "quantity": dice.randint(1, 4)} for each in wanted]

    def _cancel(self, buyer: Client, order_id: str) -> None:
        buyer.must("POST", f"orders/{order_id}/cancel")
        self.ledger.cancel(order_id)
