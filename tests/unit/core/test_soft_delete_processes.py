"""Soft deletion and restoring by real processes at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.db import IntegrityError

from core.events.models import EventRecord
from core.exceptions import ConflictError
from tests.sample.models import Document, Folder, Seat
from tests.unit.core.events.support import join, processes, wait_until

APPS = ["core", "core.events", "django.contrib.contenttypes", "tests.sample"]
ROUNDS = 20

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True, available_apps=APPS),
]


def together(directory: Path, name: str, index: int, number: int) -> None:
    """Return once that many processes have come here."""
    (directory / f"{name}-{index}").touch()
    wait_until(lambda: len(list(directory.glob(f"{name}-*"))) == number)


def test_restoring_against_new_rows(tmp_path: Path) -> None:
    """Of a restore and inserts of the same value at once exactly one wins; the others are told."""
    for number in range(ROUNDS):
        Seat.objects.create(number=number).delete()

    def run(index: int) -> None:
        for number in range(ROUNDS):
            seat = Seat.all_objects.get(number=number, is_deleted=True) if index == 0 else None
            together(tmp_path, str(number), index, 3)
            try:
                seat.restore() if seat else Seat.objects.create(number=number)
            except ConflictError:
                outcome = "no restore"
            except IntegrityError:
                outcome = "no insert"
            else:
                outcome = "done"
            (tmp_path / f"{outcome} {number} {index}").touch()
            together(tmp_path, f"after {number}", index, 3)

    with processes(3, run) as started:
        join(started)
    for number in range(ROUNDS):
        assert len(list(tmp_path.glob(f"done {number} *"))) == 1
        assert len(list(tmp_path.glob(f"no * {number} *"))) == 2
        assert list(tmp_path.glob(f"no restore {number} [12]")) == []
        assert list(tmp_path.glob(f"no insert {number} 0")) == []
        assert Seat.objects.filter(number=number).count() == 1


def test_two_restores_of_one_value(tmp_path: Path) -> None:
    """Of two deleted rows with one value, restored at once, one comes back with what went along."""
    for number in range(ROUNDS):
        for _ in range(2):
            folder = Folder.objects.create(name=f"folder {number}")
            Seat.objects.create(number=number).delete()
            Document.objects.create(folder=folder, title="d")
            folder.delete()

    def run(index: int) -> None:
        for number in range(ROUNDS):
            seat = Seat.all_objects.filter(number=number).order_by("pk")[index]
            folder = Folder.all_objects.filter(name=f"folder {number}").order_by("pk")[0]
            together(tmp_path, str(number), index, 2)
            folder.restore()
            try:
                seat.restore()
            except ConflictError:
                continue

    with processes(2, run) as started:
        join(started)
    assert Seat.objects.count() == ROUNDS
    assert Folder.objects.count() == Document.objects.count() == ROUNDS


def test_deleting_the_same_rows(tmp_path: Path) -> None:
    """Rows that several processes delete at once are marked, and announced, once each."""
    Seat.objects.bulk_create([Seat(number=number) for number in range(200)])

    def run(index: int) -> None:
        together(tmp_path, "go", index, 3)
        Seat.objects.all().delete()

    with processes(3, run) as started:
        join(started)
    told = EventRecord.objects.filter(name="model.soft_deleted")
    pks = [pk for event in told for pk in json.loads(event.data)["pks"]]
    assert len(pks) == len(set(pks)) == 200
    assert not Seat.objects.exists()
