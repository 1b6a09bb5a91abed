"""Timestamps of serializers; without REST framework the message says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rest_framework import serializers

from core.serializer_mixins import TimestampMixin
from tests.sample.models import Account

ROOT = Path(__file__).resolve().parents[3]

WITHOUT_IT = """
import sys
sys.modules["rest_framework"] = None
import core.serializer_mixins, core.viewset_mixins
try:
    from {module} import {name}
except ImportError as error:
    print(error)
"""


class AccountSerializer(TimestampMixin, serializers.ModelSerializer):
    class Meta:
        model = Account
        fields = ("id", "name", "created_at", "updated_at")


@pytest.mark.django_db
def test_timestamps_are_shown() -> None:
    """The two fields are there, as ISO 8601 texts."""
    account = Account.objects.create(name="Ada")
    data = AccountSerializer(account).data
    assert list(data) == ["id", "name", "created_at", "updated_at"]
    assert data["created_at"].startswith(str(account.created_at.year))


@pytest.mark.django_db
def test_timestamps_cannot_be_written() -> None:
    """What a client sends for them is ignored."""
    serializer = AccountSerializer(data={"name": "Ada", "created_at": "1999-01-01T00:00:00Z"})
    assert serializer.is_valid(), serializer.errors
    assert "created_at" not in serializer.validated_data
    assert serializer.save().created_at.year > 1999


def test_plain_serializers_have_them_too() -> None:
    """The fields are found in a serializer without a model, before and after its own."""

    class Plain(TimestampMixin, serializers.Serializer):
        name = serializers.CharField()

    fields = Plain().get_fields()
    assert set(fields) == {"name", "created_at", "updated_at"}
    assert all(fields[name].read_only for name in ("created_at", "updated_at"))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("core.serializer_mixins", "TimestampMixin"),
        ("core.viewset_mixins", "PaginationMixin"),
        ("core.viewset_mixins", "BulkActionMixin"),
        ("core.viewset_mixins", "SoftDeleteViewSetMixin"),
    ],
)
def test_without_the_rest_framework(module: str, name: str) -> None:
    """The modules import; using a name of theirs says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_IT.format(module=module, name=name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == (
        f"{name} needs Django REST framework: pip install djangorestframework"
    )


@pytest.mark.parametrize("module", ["core.serializer_mixins", "core.viewset_mixins"])
def test_unknown_names_are_unknown(module: str) -> None:
    """A misspelt name is an ImportError of its own, not advice to install something."""
    with pytest.raises(ImportError, match="cannot import name"):
        exec(f"from {module} import Misspelt")
