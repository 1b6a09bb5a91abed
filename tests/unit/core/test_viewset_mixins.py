"""Pages, actions on many rows and soft deletion of viewsets, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.filters import BaseFilterBackend
from rest_framework.generics import ListAPIView
from rest_framework.permissions import BasePermission, DjangoModelPermissions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIRequestFactory, force_authenticate

from core.drf_errors import exception_handler
from core.viewset_mixins import BulkActionMixin, PaginationMixin, SoftDeleteViewSetMixin
from tests.sample.models import Account, Document, Draft, Folder, Ticket

pytestmark = pytest.mark.django_db
http = APIRequestFactory()


class AccountSerializer(serializers.ModelSerializer):
    class Meta:
        model = Account
        fields = ("id", "name", "balance")


class Plain:
    """What all views of these tests have in common."""

    authentication_classes = ()
    permission_classes: tuple[type[BasePermission], ...] = ()
    renderer_classes = (JSONRenderer,)

    def get_exception_handler(self) -> Any:
        return exception_handler


class AccountView(Plain, PaginationMixin, viewsets.ModelViewSet):
    queryset = Account.objects.order_by("balance")
    serializer_class = AccountSerializer


class NotLocked(BasePermission):
    """Nobody may touch an account whose name says so."""

    def has_object_permission(self, request: Any, view: Any, obj: Account) -> bool:
        return obj.name != "locked"


class TeamView(Plain, BulkActionMixin, SoftDeleteViewSetMixin, viewsets.ModelViewSet):
    """Accounts with a balance, of which some are locked."""

    queryset = Account.objects.filter(balance__gt=0)
    serializer_class = AccountSerializer
    permission_classes = (NotLocked,)
    bulk_actions = {
        **BulkActionMixin.bulk_actions,
        "empty": "perform_empty",
        "fail": "perform_fail",
    }

    @action(detail=False, methods=["post"])
    def bulk_delete(self, request: Any) -> Response:
        return self.perform_bulk_action(request, "delete")

    @action(detail=False, methods=["post"])
    def bulk(self, request: Any, kind: str = "") -> Response:
        return self.perform_bulk_action(request, self.kwargs["kind"])

    def perform_empty(self, account: Account) -> None:
        account.balance = 0
        account.save()

    def perform_fail(self, account: Account) -> None:
        account.delete()
        if account.name == "a3":
            raise ValueError("the third cannot be had")


@pytest.fixture
def accounts() -> list[Account]:
    """Five accounts, by name a1 to a5, with the balances 1 to 5."""
    return [Account.objects.create(name=f"a{n}", balance=n) for n in range(1, 6)]


def listed(query: str, view: Any = AccountView) -> Response:
    response: Response = view.as_view({"get": "list"})(http.get(f"/accounts/?{query}"))
    return response


def bulk(ids: Any, kind: str = "delete") -> Response:
    view = TeamView.as_view({"post": "bulk"})
    response: Response = view(http.post("/", {"ids": ids}, format="json"), kind=kind)
    return response


def left() -> int:
    return Account.objects.count()


def test_a_page_in_the_middle(accounts: list[Account]) -> None:
    """A page has its rows, its numbers and links to its neighbours, other parameters kept."""
    data = listed("page=2&page_size=2&x=1").data
    assert [row["name"] for row in data.pop("results")] == ["a3", "a4"]
    address = "http://testserver/accounts/?page={}&page_size=2&x=1"
    assert data == {
        "count": 5,
        "next": address.format(3),
        "previous": address.format(1),
        "page": 2,
        "page_size": 2,
        "total_pages": 3,
        "has_next": True,
        "has_previous": True,
    }


def test_the_standard_page() -> None:
    """Without parameters it is the first page, of 20 rows."""
    for number in range(21):
        Account.objects.create(name=str(number))
    data = listed("").data
    assert (len(data["results"]), data["page"], data["page_size"]) == (20, 1, 20)
    assert data["next"] == "http://testserver/accounts/?page=2"
    assert data["previous"] is None


@pytest.mark.parametrize("name", ["page_size", "size", "per_page"])
def test_names_of_the_size(accounts: list[Account], name: str) -> None:
    """The size of a page has three names."""
    assert len(listed(f"{name}=3").data["results"]) == 3


@pytest.mark.parametrize("page", [4, 10**9, 10**17])
def test_a_page_beyond_the_last(accounts: list[Account], page: int) -> None:
    """It is empty; the way back leads to the last page that there is."""
    data = listed(f"page={page}&size=2").data
    assert (data["results"], data["page"], data["has_next"]) == ([], page, False)
    assert data["previous"] == "http://testserver/accounts/?page=3&size=2"


def test_no_rows_at_all() -> None:
    """An empty list has no pages."""
    data = listed("").data
    assert (data["count"], data["total_pages"], data["results"]) == (0, 0, [])
    assert (data["next"], data["previous"]) == (None, None)


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "1.5", "nan", "%D9%A3", "1e3", "9" * 5000])
@pytest.mark.parametrize("name", ["page", "page_size", "size", "per_page"])
def test_numbers_that_are_none(name: str, value: str) -> None:
    """What is no number from 1 on is answered with 400 and the name of the parameter."""
    response = listed(f"{name}={value}")
    assert response.status_code == 400
    assert list(response.data["details"]) == [name]


def test_only_the_number_that_is_none_is_named() -> None:
    """Of several parameters the answer names the wrong one."""
    assert list(listed("page=2&page_size=x").data["details"]) == ["page_size"]


def test_a_page_has_a_largest_size() -> None:
    """A hundred rows are the most."""
    assert listed("page_size=100").data["page_size"] == 100
    response = listed("page_size=101")
    assert response.status_code == 400
    assert "from 1 to 100" in str(response.data["details"])


def test_two_sizes() -> None:
    """Different sizes by different names are refused; the same twice is none of our business."""
    assert listed("size=2&per_page=3").status_code == 400
    assert listed("size=2&per_page=2").data["page_size"] == 2


def test_rows_without_an_order_get_one() -> None:
    """Pages of an unordered queryset neither overlap nor leave rows out."""

    class TicketSerializer(serializers.ModelSerializer):
        class Meta:
            model = Ticket
            fields = ("seat",)

    class TicketView(Plain, PaginationMixin, ListAPIView):
        queryset = Ticket.objects.all()
        serializer_class = TicketSerializer

    for number in range(6):
        Ticket.objects.create(seat=str(number))
    pages = [TicketView.as_view()(http.get(f"/?size=2&page={page}")) for page in (1, 2, 3)]
    seats = [row["seat"] for page in pages for row in page.data["results"]]
    assert seats == ["0", "1", "2", "3", "4", "5"]


def test_many_rows_are_deleted_at_once(accounts: list[Account]) -> None:
    """Each named row is deleted as the view deletes one; a repeated id counts once."""
    ids = [str(account.pk) for account in accounts[:2]]
    view = TeamView.as_view({"post": "bulk_delete"})
    response = view(http.post("/", {"ids": [*ids, ids[0]]}, format="json"))
    assert response.status_code == 200
    assert response.data == {"action": "delete", "count": 2, "ids": [UUID(key) for key in ids]}
    assert left() == 3
    assert Account.objects.deleted().count() == 2


def test_actions_of_a_view(accounts: list[Account]) -> None:
    """A view names further actions and the methods that do them."""
    bulk([str(account.pk) for account in accounts], "empty")
    assert not Account.objects.exclude(balance=0).exists()


def test_unknown_ids_are_reported(accounts: list[Account]) -> None:
    """Ids that are not visible in the view are named, and nothing happens to the others."""
    hidden = Account.objects.create(name="no balance")
    gone = accounts[4]
    gone.delete()
    nobody = uuid4()
    response = bulk([str(accounts[0].pk), str(hidden.pk), str(gone.pk), str(nobody)])
    assert response.status_code == 404
    assert response.data["error"] == "There is no such resource."
    named = str(response.data["details"])
    assert all(str(key) in named for key in (hidden.pk, gone.pk, nobody))
    assert str(accounts[0].pk) not in named
    assert left() == 5


def test_each_row_must_be_permitted(accounts: list[Account]) -> None:
    """One row that may not be touched keeps all from being touched."""
    locked = Account.objects.create(name="locked", balance=1)
    assert bulk([str(accounts[0].pk), str(locked.pk)]).status_code == 403
    assert left() == 6


@pytest.mark.parametrize(
    ("rights", "status"), [(["add_account"], 403), (["add_account", "delete_account"], 200)]
)
def test_deleting_many_needs_the_right_to_delete(
    accounts: list[Account], rights: list[str], status: int
) -> None:
    """Who may only add rows, by POST, cannot delete them by one."""

    class RightsView(TeamView):
        permission_classes = (DjangoModelPermissions,)

    user = get_user_model().objects.create_user("ada")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    request = http.post("/", {"ids": [str(accounts[0].pk)]}, format="json")
    force_authenticate(request, user)
    assert RightsView.as_view({"post": "bulk_delete"})(request).status_code == status
    assert left() == (4 if status == 200 else 5)


def test_an_action_that_is_no_text(accounts: list[Account]) -> None:
    """An action that a client sends as a list is refused like any that is not known."""
    assert bulk([str(accounts[0].pk)], ["delete"]).status_code == 400  # type: ignore[arg-type]  # a mistake on purpose


@pytest.mark.django_db(transaction=True)
def test_all_rows_or_none(accounts: list[Account]) -> None:
    """A failure in the middle undoes what was done before."""
    response = bulk([str(account.pk) for account in accounts], "fail")
    assert response.status_code == 500
    assert left() == 5


@pytest.mark.parametrize("kind", ["archive", "bulk_action", "perform_empty", "__init__", "destroy"])
def test_unknown_actions(accounts: list[Account], kind: str) -> None:
    """Only the actions that the view names can be asked for, never just any method."""
    response = bulk([str(accounts[0].pk)], kind)
    assert response.status_code == 400
    assert "is not one of delete, empty, fail" in str(response.data["details"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "ids",
        {"ids": None},
        {"ids": "all"},
        {"ids": []},
        {"ids": {"a": 1}},
        {"ids": ["x"] * 101},
        {"ids": [None]},
        {"ids": ["x"]},
        {"ids": [True]},
        {"ids": [1.5]},
        {"ids": [-1]},
        {"ids": [7]},
        {"ids": [[]]},
        {"ids": ["\x00"]},
        {"ids": ["9" * 5000]},
    ],
)
def test_bodies_that_name_no_rows(body: Any) -> None:
    """A body of another shape, or with what is no id, is answered with 400."""
    response = TeamView.as_view({"post": "bulk_delete"})(http.post("/", body, format="json"))
    assert response.status_code == 400


@pytest.mark.parametrize("key", [True, 1.5, 10**30, -(10**30), "1.0", "٣x", "1\x00"])
def test_ids_that_are_numbers(key: Any) -> None:
    """For integer keys too, what is no key of the table never reaches the database."""

    class TicketSerializer(serializers.ModelSerializer):
        class Meta:
            model = Ticket
            fields = ("seat",)

    class TicketView(Plain, BulkActionMixin, viewsets.ModelViewSet):
        queryset = Ticket.objects.all()
        serializer_class = TicketSerializer

        @action(detail=False, methods=["post"])
        def bulk_delete(self, request: Any) -> Response:
            return self.perform_bulk_action(request, "delete")

    Ticket.objects.create(pk=1, seat="1")
    view = TicketView.as_view({"post": "bulk_delete"})
    assert view(http.post("/", {"ids": [key]}, format="json")).status_code == 400
    assert view(http.post("/", {"ids": ["1"]}, format="json")).status_code == 200
    assert not Ticket.objects.exists()


class DraftSerializer(serializers.ModelSerializer):
    class Meta:
        model = Draft
        fields = ("id", "title", "is_deleted")


class DraftView(Plain, SoftDeleteViewSetMixin, viewsets.ModelViewSet):
    queryset = Draft.objects.all()
    serializer_class = DraftSerializer


class FilteredView(DraftView):
    """A view with the filter that many write by themselves."""

    def get_queryset(self) -> QuerySet[Draft]:
        return super().get_queryset().filter(is_deleted=False)

    def get_deleted_queryset(self) -> QuerySet[Draft]:
        return Draft.objects.deleted()


@pytest.mark.parametrize("view", [DraftView, FilteredView])
def test_delete_marks_and_restore_brings_back(view: type[DraftView]) -> None:
    """DELETE marks the row, which is then gone from the view; restore shows it again."""
    draft = Draft.objects.create(title="first")
    detail = view.as_view({"delete": "destroy", "get": "retrieve"})
    restore = view.as_view({"post": "restore"})
    assert detail(http.delete("/"), pk=draft.pk).status_code == 204
    assert Draft.objects.deleted().get().pk == draft.pk
    assert detail(http.get("/"), pk=draft.pk).status_code == 404
    response = restore(http.post("/"), pk=draft.pk)
    assert response.data == {"id": draft.pk, "title": "first", "is_deleted": False}
    assert detail(http.get("/"), pk=draft.pk).status_code == 200


@pytest.mark.parametrize("key", [0, "x", "", "1.5", 10**30, None])
def test_only_deleted_rows_are_restored(key: Any) -> None:
    """Rows that are not deleted, and keys that are none, are not found."""
    draft = Draft.objects.create(title="live")
    restore = DraftView.as_view({"post": "restore"})
    assert restore(http.post("/"), pk=draft.pk).status_code == 404
    assert restore(http.post("/"), pk=key).status_code == 404


def test_restoring_keeps_to_the_view(accounts: list[Account]) -> None:
    """A deleted row that the view would not show, or not permit, is not restored."""
    restore = TeamView.as_view({"post": "restore"})
    hidden = Account.objects.create(name="no balance")
    locked = Account.objects.create(name="locked", balance=1)
    for account in (hidden, locked, accounts[0]):
        account.delete()
    statuses = [
        restore(http.post("/"), pk=account.pk).status_code
        for account in (hidden, locked, accounts[0])
    ]
    assert statuses == [404, 403, 200]


class Richer(BaseFilterBackend):
    """Shows nobody an account with less than 3."""

    def filter_queryset(self, request: Any, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        return queryset.filter(balance__gte=3)


def test_restoring_keeps_to_the_filters(accounts: list[Account]) -> None:
    """What the view's filter backends hide is not restored, as it is not deleted either."""

    class FilteredView(TeamView):
        filter_backends = (Richer,)

    restore = FilteredView.as_view({"post": "restore"})
    for account in accounts:
        account.delete()
    statuses = [restore(http.post("/"), pk=account.pk).status_code for account in accounts]
    assert statuses == [404, 404, 200, 200, 200]


def test_restoring_into_a_taken_value() -> None:
    """A title that somebody has taken meanwhile is a conflict."""

    class DocumentView(Plain, SoftDeleteViewSetMixin, viewsets.ReadOnlyModelViewSet):
        queryset = Document.objects.all()

    folder = Folder.objects.create(name="a")
    document = Document.objects.create(folder=folder, title="one")
    document.delete()
    Document.objects.create(folder=folder, title="one")
    restore = DocumentView.as_view({"post": "restore"})
    assert restore(http.post("/"), pk=document.pk).status_code == 409
    assert Document.objects.count() == 1


def test_a_model_without_soft_deletion(accounts: list[Account]) -> None:
    """The mixin refuses to remove rows for good."""

    class TicketView(Plain, SoftDeleteViewSetMixin, viewsets.ModelViewSet):
        queryset = Ticket.objects.all()

        def get_exception_handler(self) -> Any:
            def handler(error: Exception, context: Any) -> None:
                return None

            return handler

    ticket = Ticket.objects.create(seat="1")
    with pytest.raises(ImproperlyConfigured, match="Ticket has no soft deletion"):
        TicketView.as_view({"delete": "destroy"})(http.delete("/"), pk=ticket.pk)
    assert Ticket.objects.exists()


def test_routes_have_the_restore_action() -> None:
    """A router finds the action and its address."""
    router = SimpleRouter()
    router.register("drafts", DraftView)
    assert "^drafts/(?P<pk>[^/.]+)/restore/$" in [str(url.pattern) for url in router.urls]
