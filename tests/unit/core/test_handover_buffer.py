"""The buffer: bounded, first in first out, and no record is ever unaccounted for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.handover.buffer import Buffer


class AnyOrder(RuleBasedStateMachine):
    """Whatever is done in whichever order, compared with what a list would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = Buffer(records=5, size=100)
        self.number = self.shipped = 0
        self.is_away = False

    @rule(size=st.integers(5, 60))
    def append(self, size: int) -> None:
        """One more comes."""
        self.number += 1
        self.buffer.append(str(self.number).encode().ljust(size))

    @rule()
    def refuse(self) -> None:
        """One comes that cannot be shipped."""
        self.number += 1
        self.buffer.refuse()

    @rule(records=st.integers(1, 6), size=st.integers(1, 100))
    def take(self, records: int, size: int) -> None:
        """A batch is being shipped: the oldest, in order."""
        if self.is_away:
            return
        batch = [int(record) for record in self.buffer.take(records=records, size=size)]
        self.is_away = bool(batch)
        assert batch == sorted(batch)
        assert not batch or batch[0] > self.shipped

    @rule(well=st.booleans())
    def end(self, well: bool) -> None:
        """It went well, or not."""
        if not self.is_away:
            return
        if well:
            self.shipped = int(self.buffer._away[-1])
            self.buffer.settle()
        else:
            self.buffer.put_back()
        self.is_away = False

    @rule()
    def drop_all(self) -> None:
        """The process ends."""
        self.buffer.drop_all()
        self.is_away = False

    @invariant()
    def adds_up(self) -> None:
        """Every record is shipped, dropped or buffered; the buffer keeps to its limits."""
        counts = self.buffer.counts()
        assert counts.accepted == self.number
        assert counts.accepted == counts.shipped + counts.dropped + counts.buffered
        assert counts.buffered <= 5
        held = [*self.buffer._away, *self.buffer._waiting]
        assert sum(map(len, held)) == self.buffer._bytes <= 100


TestAnyOrder = AnyOrder.TestCase


@given(st.integers(0, 30))
def test_the_oldest_are_dropped(number: int) -> None:
    """The newest are what helps whoever looks for the cause of a trouble."""
    buffer = Buffer(records=7, size=1000)
    for n in range(number):
        buffer.append(str(n).encode())
    kept = [int(record) for record in buffer.take(records=100, size=1000)]
    assert kept == list(range(max(0, number - 7), number))
    assert buffer.counts().dropped == max(0, number - 7)
