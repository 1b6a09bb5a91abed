"""Repositories, sync and async: one behaviour, proven by one suite."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils.connection import ConnectionDoesNotExist

from core.events import capture_events
from core.exceptions import (
    AlreadyExistsError,
    AppException,
    DatabaseError,
    NotFoundError,
    ServiceError,
    TenantError,
    ValidationError,
)
from core.repositories import (
    AsyncRepository,
    BaseRepository,
    DuplicateRowError,
    RefusedRowError,
)
from core.services import BaseService
from core.tenancy import require_current_tenant, set_current_tenant
from core.transactions import Session
from tests.sample.models import (
    Book,
    Desk,
    Member,
    Parcel,
    QuietSpecimen,
    Room,
    Shelf,
    Stamped,
    Ticket,
)
from tests.unit.core.events.support import wait_until


class _Awaited:
    """An async repository whose calls are awaited here, so that one suite proves both."""

    def __init__(self, repository: Any) -> None:
        self._repository = repository

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._repository, name)
        return async_to_sync(found) if inspect.iscoroutinefunction(found) else found


def _awaited(*args: Any, **kwargs: Any) -> Any:
    return _Awaited(AsyncRepository(*args, **kwargs))


@pytest.fixture(params=[BaseRepository, _awaited], ids=["sync", "async"])
def repository(request: pytest.FixtureRequest, db: None) -> Any:
    """Makes a repository of either kind for a model."""
    return request.param


@pytest.fixture
def shelves(repository: Any) -> Any:
    return repository(Shelf)


@pytest.fixture
def books(repository: Any) -> Any:
    return repository(Book)


class SyncMemberRepository(BaseRepository[Member]):
    """As users write it, sync."""


class MemberRepository(AsyncRepository[Member]):
    """As users write it, with a finder."""

    async def find_by_email(self, email: str) -> Member | None:
        return await self.get_by_field("email", email)


class TestWhichModel:
    def test_it_is_stated_in_one_of_three_ways(self) -> None:
        """By type argument, as a class attribute or to the constructor."""

        class ByAttribute(BaseRepository[Any]):
            model = Shelf

        class Deeper(MemberRepository):
            pass

        assert BaseRepository[Shelf]().model is Shelf
        assert ByAttribute().model is Shelf
        assert AsyncRepository(Shelf).model is Shelf
        assert SyncMemberRepository().model is MemberRepository().model is Deeper().model is Member

    @pytest.mark.parametrize("model", [None, 7, 0, "", "Shelf", Shelf(), models.Model])
    def test_without_one_it_is_refused(self, model: Any) -> None:
        """A repository of nothing, of no model or of one without a table is a TypeError."""
        with pytest.raises(TypeError, match="BaseRepository needs a model"):
            BaseRepository(model)

    def test_it_names_its_database(self) -> None:
        """`using` and the session of a transaction name it; an unknown one is an error."""
        assert BaseRepository(Shelf, using="default").query().db == "default"
        assert BaseRepository(Shelf, session=Session()).using == "default"
        for alias in ("elsewhere", ""):
            with pytest.raises(ConnectionDoesNotExist, match=rf"'{alias}'; use one of default"):
                BaseRepository(Shelf, using=alias)
        with pytest.raises(TypeError, match="alias of a database, got 0"):
            BaseRepository(Shelf, using=0)  # type: ignore[arg-type]  # on purpose
        with pytest.raises(TypeError, match="session must be"):
            BaseRepository(Shelf, session="default")  # type: ignore[arg-type]  # on purpose


class TestReading:
    def test_rows_are_found_by_key(self, shelves: Any) -> None:
        """The key may be given as text; a deleted row is not found."""
        shelf = Shelf.objects.create(label="a")
        assert shelves.get_by_id(shelf.pk) == shelves.get_by_id(str(shelf.pk)) == shelf
        shelf.delete()
        assert shelves.get_by_id(shelf.pk) is None

    @pytest.mark.parametrize(
        "pk", ["missing", uuid4(), None, 7, "", "a\x00", [], {}, 1.5, "x" * 99]
    )
    def test_what_is_no_key_is_not_found(self, repository: Any, pk: Any) -> None:
        """A malformed key is the key of no row, whatever kind the model's keys are."""
        assert repository(Shelf).get_by_id(pk) is None
        assert repository(Ticket).get_by_id(pk) is None

    @pytest.mark.parametrize("pk", [True, 1.5, float("nan"), "\ud800", F("pk"), Ticket])
    def test_what_is_nearly_a_key_is_not_found(self, repository: Any, pk: Any) -> None:
        """True and 1.5 are not taken for the key 1: nothing is read, changed or deleted by them."""
        Ticket.objects.create(pk=1)
        tickets = repository(Ticket)
        assert tickets.get_by_id(pk) is None
        assert tickets.delete(pk) is False
        with pytest.raises(NotFoundError):
            tickets.update(pk, {})

    def test_a_number_too_large_is_not_found(self, repository: Any) -> None:
        """Keys beyond what the column holds are those of no row."""
        assert repository(Ticket).get_by_id(10**30) is None

    def test_errors_of_the_model_are_not_hidden(self, repository: Any, monkeypatch: Any) -> None:
        """Only a malformed key is taken for "not found", not a mistake in the model's own code."""
        shelf = Shelf.objects.create(label="a")

        def broken(cls: Any, *args: Any) -> None:
            raise ValueError("a mistake")

        monkeypatch.setattr(Shelf, "from_db", classmethod(broken))
        with pytest.raises(ValueError, match="a mistake"):
            repository(Shelf).get_by_id(shelf.pk)

    def test_rows_are_found_by_a_field(self, books: Any) -> None:
        """None when nothing matches, also for what cannot be a UUID; several are an error."""
        book = Book.objects.create(title="a")
        assert books.get_by_field("title", "a") == books.get_by_field("pk", book.pk) == book
        assert books.get_by_field("title", "b") is None
        assert books.get_by_field("id", "missing") is None
        assert books.get_by_field("shelf", "missing") is None
        Book.objects.create(title="a")
        with pytest.raises(Book.MultipleObjectsReturned):
            books.get_by_field("title", "a")

    def test_lists_are_filtered_by_equality(self, books: Any) -> None:
        """All filters must hold; None finds what is null; related rows by row or by key."""
        shelf = Shelf.objects.create(label="s")
        one = Book.objects.create(title="1", copies=3, shelf=shelf)
        two = Book.objects.create(title="2", copies=3)
        assert books.list(order_by="title") == [one, two]
        assert type(books.list()) is list
        assert books.list(filters={"copies": 3, "title": "2"}) == [two]
        assert books.list({"shelf": shelf}) == books.list({"shelf": shelf.pk}) == [one]
        assert books.list({"shelf_id": str(shelf.pk)}) == [one]
        assert books.list({"shelf": None}) == [two]
        assert books.list({"shelf": "no uuid"}) == []
        assert books.list(order_by="-title", limit=1) == [two]

    def test_query_is_a_queryset_to_go_on_with(self, books: Any) -> None:
        """Where no list is asked for there is a queryset, with the methods of the model's own."""
        Book.objects.create(title="1").delete()
        rows = books.query({"title": "1"})
        assert isinstance(rows, models.QuerySet)
        assert rows.count() == 0
        assert rows.deleted().count() == 1

    @pytest.mark.parametrize(
        ("filters", "message"),
        [
            ({"titel": "a"}, r"Book has no field 'titel' \(did you mean 'title'\?\)"),
            ({"title__startswith": "a"}, "Book has no field 'title__startswith'"),
            ({7: "a"}, "Book has no field 7"),
            ({"copies": "many"}, "Book.copies cannot be 'many'"),
            ({"copies": ["1"]}, "Book.copies cannot be"),
            ({"title": ["1"]}, "Book.title cannot be"),
            ({"title": "\x00"}, "NUL"),
            ({"price": Decimal("NaN")}, "Book.price cannot be Decimal"),
            ({"shelf": Book()}, "Book.shelf cannot be"),
            (["title"], "filters must map names of fields, got"),
            ("title", "filters must map"),
        ],
    )
    def test_bad_filters_are_refused(self, books: Any, filters: Any, message: str) -> None:
        """An unknown field or an impossible value raises ValidationError that names it."""
        with pytest.raises(ValidationError, match=message):
            books.list(filters=filters)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("title", "half \ud800"),
            ("notes", {"a": "NUL \x00"}),
            ("notes", ["\ud800"]),
            ("copies", True),
            ("shelf", True),
            ("price", True),
            ("price", Decimal("1E+400000")),
            ("price", "1E-400000"),
            ("price", "NaN"),
            ("scan", 1.5),
            ("scan", "x"),
            ("cover", 5),
        ],
    )
    def test_what_no_column_holds_is_refused(self, books: Any, field: str, value: Any) -> None:
        """Nothing reaches the database that one of the databases would choke on or misread."""
        for call in (
            lambda: books.list(filters={field: value}),
            lambda: books.create({field: value}),
        ):
            with pytest.raises(ValidationError, match=field):
                call()

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("period", "three days"),
            ("period", 3),
            ("address", "999.1.1.1"),
            ("address", 5),
            ("integer", Decimal("1.5")),
            ("integer", 1.5),
            ("token", 5),
            ("flag", Decimal("sNaN")),
            pytest.param("flag", 10**5000, id="flag-too long"),
            pytest.param("token", 10**5000, id="token-too long"),
            ("word", Decimal("NaN")),
            pytest.param("day", "x" * 100_000, id="day-too long"),
        ],
    )
    def test_each_kind_of_field_refuses_what_is_another(
        self, repository: Any, field: str, value: Any
    ) -> None:
        """A duration, an address, a whole number: what is none is named, shortly, when asked for
        and when written."""
        specimens = repository(QuietSpecimen)
        for call in (
            lambda: specimens.list(filters={field: value}),
            lambda: specimens.create({field: value}),
        ):
            with pytest.raises(ValidationError, match=f"QuietSpecimen.{field} cannot be") as caught:
                call()
            assert len(str(caught.value)) < 400

    def test_the_name_of_a_file_fits_its_column(self, repository: Any) -> None:
        """One that is too long is refused before PostgreSQL does it in its own words."""
        with pytest.raises(ValidationError, match=r"QuietSpecimen.cover .* at most 100 characters"):
            repository(QuietSpecimen).create({"cover": "x" * 101})

    def test_filters_take_texts(self, repository: Any) -> None:
        """What a form or a query string says of a duration and an address is found as stored."""
        specimens = repository(QuietSpecimen)
        one = specimens.create({"period": "3 00:00:00", "address": "2001:DB8::1"})
        assert one.period == timedelta(days=3)
        assert specimens.list(filters={"period": "3 00:00:00"}) == [one]
        assert specimens.list(filters={"address": " 2001:db8:0::1 "}) == [one]
        assert specimens.list(filters={"period": F("period")}) == [one]
        assert specimens.list(filters={"period": None}) == []

    @pytest.mark.parametrize("key", [10**30, -(10**30), uuid4(), float("inf"), True, "x"])
    def test_keys_that_no_row_can_have_are_refused(self, repository: Any, key: Any) -> None:
        """The key of a related row is checked against what its column holds."""
        for name in ("room", "room_id"):
            with pytest.raises(ValidationError, match=name):
                repository(Desk).create({name: key})

    @pytest.mark.parametrize("field", [[], {}, None, Decimal("sNaN"), "nope", "\ud800"])
    def test_fields_that_are_none_are_refused(self, shelves: Any, field: Any) -> None:
        """Whatever is given for a field, the error says that there is none of that name."""
        with pytest.raises(ValidationError, match="Shelf has no field"):
            shelves.get_by_field(field, 1)

    def test_a_backslash_is_no_nul(self, books: Any) -> None:
        """What only looks like an escaped NUL is stored and found."""
        books.create({"title": "x", "notes": {"a": "\\u0000"}})
        assert len(books.list(filters={"notes": {"a": "\\u0000"}})) == 1

    @pytest.mark.parametrize("limit", [0, -1, "x", 1.5, 10**30])
    def test_bad_limits_are_refused(self, books: Any, limit: Any) -> None:
        """A limit is a whole number from 1 on."""
        with pytest.raises(ValidationError, match="limit must be"):
            books.list(limit=limit)

    def test_a_list_has_an_order_of_known_fields(self, books: Any) -> None:
        """An unknown one is refused, with a limit and without."""
        for options in ({"order_by": "colour"}, {"order_by": "colour", "limit": 1}):
            with pytest.raises(ValidationError, match="cannot be ordered by 'colour'"):
                books.list(**options)

    def test_pages_are_of_both_kinds(self, shelves: Any) -> None:
        """By number with a total, and behind a cursor; both take filters."""
        for number in range(5):
            Shelf.objects.create(label=str(number))
        page = shelves.list_paginated(page=2, size=2, order_by="label")
        assert [shelf.label for shelf in page.items] == ["2", "3"]
        assert (page.total, page.total_pages, page.has_next) == (5, 3, True)
        assert shelves.list_paginated(page="1", size="2", filters={"label": "4"}).total == 1
        first = shelves.list_keyset(size=3, order_by="label")
        rest = shelves.list_keyset(first.next_cursor, 3, "label")
        assert [shelf.label for shelf in [*first.items, *rest.items]] == list("01234")
        for bad in ({"page": 0}, {"size": 0}, {"size": 101}, {"order_by": "colour"}):
            with pytest.raises(ValidationError):
                shelves.list_paginated(**bad)


class TestCreating:
    def test_a_row_is_made_and_announced(self, shelves: Any) -> None:
        """`create` saves an instance, with its life cycle event."""
        with capture_events() as events:
            shelf = shelves.create({"label": "a"})
        assert Shelf.objects.get() == shelf
        assert [event.name for event in events] == ["model.created"]

    def test_values_take_the_type_of_their_field(self, books: Any) -> None:
        """Texts as they come from outside become what the field holds, before it is saved."""
        shelf = Shelf.objects.create(label="s")
        book = books.create({"title": "t", "price": "9.50", "copies": "3", "shelf": str(shelf.pk)})
        assert (book.price, book.copies, book.shelf_id) == (Decimal("9.50"), 3, shelf.pk)
        assert books.create({"title": "t", "shelf": shelf}).shelf is shelf

    def test_a_duplicate_is_both_kinds_of_error(self, repository: Any) -> None:
        """It is caught as AlreadyExistsError or IntegrityError; its text names the column."""
        members = repository(Member)
        with set_current_tenant("a"):
            members.create({"email": "a@b.c"})
            for kind in (AlreadyExistsError, IntegrityError):
                with pytest.raises(kind) as caught:
                    members.create({"email": "a@b.c"})
                assert type(caught.value) is DuplicateRowError
                assert "email" in str(caught.value)
                assert isinstance(caught.value.__cause__, IntegrityError)
        assert "email" not in caught.value.message
        assert (caught.value.status_code, caught.value.error_code) == (409, "ALREADY_EXISTS")

    def test_a_taken_key_is_a_duplicate(self, repository: Any) -> None:
        """Primary keys are unique values too, UUIDs and numbers."""
        shelf = repository(Shelf).create({"label": "a"})
        with pytest.raises(DuplicateRowError):
            repository(Shelf).create({"id": shelf.pk, "label": "b"})
        room = repository(Room).create({})
        with pytest.raises(DuplicateRowError):
            repository(Room).create({"pk": room.pk})

    def test_another_constraint_is_the_other_error(self, shelves: Any) -> None:
        """What is no duplicate is a DatabaseError and an IntegrityError, and no AlreadyExists."""
        for kind in (DatabaseError, IntegrityError):
            with pytest.raises(kind) as caught:
                shelves.create({"label": None})
            assert type(caught.value) is RefusedRowError
            assert "label" in str(caught.value)
            assert isinstance(caught.value.__cause__, IntegrityError)
        assert caught.value.status_code == 503

    def test_the_transaction_around_stays_usable(self, shelves: Any) -> None:
        """A failure undoes itself alone, also when the caller goes on in the same transaction."""
        with transaction.atomic():
            shelves.create({"label": "a"})
            for label in ("a", None):
                with pytest.raises(IntegrityError):
                    shelves.create({"label": label})
            shelves.create({"label": "b"})
        assert Shelf.objects.count() == 2

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"titel": "a"}, r"Book has no field 'titel' \(did you mean 'title'\?\)"),
            ({"pages_of_it": []}, "Book has no field 'pages_of_it'"),
            ({"title": "x" * 101}, "Book.title cannot be 'xxx"),
            ({"title": ["a"]}, "Book.title cannot be"),
            ({"title": "\x00"}, "NUL"),
            ({"price": Decimal("NaN")}, "Book.price cannot be Decimal"),
            ({"price": Decimal("Infinity")}, "Book.price cannot be Decimal"),
            ({"price": float("nan")}, "Book.price cannot be nan"),
            ({"price": "12345.00"}, "Book.price cannot be"),
            ({"copies": "many"}, "Book.copies cannot be 'many'"),
            ({"copies": 1.5}, "whole number"),
            ({"copies": 10**30}, "Book.copies cannot be"),
            ({"notes": object()}, "Book.notes cannot be"),
            ({"notes": float("nan")}, "Book.notes cannot be nan"),
            ({"printed_on": "yesterday"}, "Book.printed_on cannot be 'yesterday'"),
            ({"id": "no uuid"}, "Book.id cannot be 'no uuid'"),
            ({"shelf": Shelf()}, "Book.shelf cannot be"),
            ({"shelf": Book()}, "Book.shelf cannot be"),
            ({"shelf": "no uuid"}, "Book.shelf cannot be 'no uuid'"),
            ({"shelf": None, "shelf_id": None}, "given twice"),
            (None, "data must map names of fields, got None"),
            ([("title", "a")], "data must map"),
        ],
    )
    def test_bad_data_is_refused(self, books: Any, data: Any, message: str) -> None:
        """An unknown field or an impossible value raises ValidationError, before any query."""
        with (
            CaptureQueriesContext(connection) as queries,
            pytest.raises(ValidationError, match=message),
        ):
            books.create(data)
        assert len(queries) == 0

    def test_the_current_tenant_owns_the_row(self, repository: Any) -> None:
        """A tenant's row belongs to the current tenant; without one it is refused."""
        with set_current_tenant("a"):
            assert repository(Member).create({"email": "a@b.c"}).tenant_id == "a"
            assert repository(Parcel).create({}).tenant_id == "a"
        for model, data in ((Member, {"email": "b@b.c"}), (Parcel, {})):
            with pytest.raises(TenantError):
                repository(model).create(data)


class TestUpdating:
    def test_a_row_is_changed_and_announced(self, shelves: Any) -> None:
        """`update` goes through `save()`, so the event tells old from new."""
        shelf = Shelf.objects.create(label="old")
        with capture_events() as events:
            updated = shelves.update(str(shelf.pk), {"label": "new"})
        assert (updated.pk, updated.label) == (shelf.pk, "new")
        assert [event.name for event in events] == ["model.updated"]
        assert events[0].data["changes"] == {"label": ["old", "new"]}

    def test_the_database_may_compute_it(self, books: Any) -> None:
        """Expressions are values too."""
        book = Book.objects.create(title="a", copies=1)
        books.update(book.pk, {"copies": F("copies") + 1})
        assert Book.objects.get().copies == 2

    @pytest.mark.parametrize("pk", ["missing", None, uuid4(), 7])
    def test_a_missing_row_is_an_error(self, shelves: Any, pk: Any) -> None:
        """There is nothing to update, which NotFoundError says with the key."""
        with pytest.raises(NotFoundError, match=r"Shelf .* not found"):
            shelves.update(pk, {"label": "new"})

    def test_errors_are_those_of_create(self, shelves: Any) -> None:
        """Duplicates, other constraints and bad data; the transaction stays usable."""
        Shelf.objects.create(label="taken")
        shelf = Shelf.objects.create(label="a")
        for data, kind in (
            ({"label": "taken"}, DuplicateRowError),
            ({"label": None}, RefusedRowError),
            ({"lable": "x"}, ValidationError),
            ({"id": uuid4()}, ValidationError),
            (None, ValidationError),
        ):
            with pytest.raises(kind):
                shelves.update(shelf.pk, data)
        assert shelves.update(shelf.pk, {"label": "b", "id": shelf.pk}).label == "b"
        assert Shelf.objects.count() == 2


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True, available_apps=["core", "core.events", "tests.sample"])
def test_an_update_waits_for_another() -> None:
    """The row is locked before it is read, so nothing that changes meanwhile is written over."""
    pk = QuietSpecimen.objects.create(word="old", integer=1).pk

    def update() -> None:
        try:
            BaseRepository(QuietSpecimen).update(pk, {"word": "new"})
        finally:
            connection.close()

    def is_waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_locks"
                " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            return cursor.fetchone() is not None

    with ThreadPoolExecutor() as pool:
        with transaction.atomic():
            QuietSpecimen.objects.filter(pk=pk).update(integer=2)
            updating = pool.submit(update)
            wait_until(is_waiting)
        updating.result(timeout=10)
    assert QuietSpecimen.objects.values_list("word", "integer").get() == ("new", 2)


class TestDeleting:
    def test_it_is_soft_where_the_model_is(self, repository: Any) -> None:
        """A soft-deleting model keeps the row, another one does not."""
        shelf, stamped = Shelf.objects.create(label="a"), Stamped.objects.create(name="a")
        assert repository(Shelf).delete(shelf.pk) is True
        assert Shelf.all_objects.get().is_deleted
        assert repository(Stamped).delete(stamped.pk) is True
        assert not Stamped.objects.exists()

    @pytest.mark.parametrize("pk", ["missing", None, uuid4(), 7])
    def test_nothing_to_delete_is_false(self, shelves: Any, pk: Any) -> None:
        """Deleting what is not there is no error; a second time neither."""
        assert shelves.delete(pk) is False


class MemberService(BaseService):
    """The service of the handbook: repositories inside, errors for users outside."""

    def __init__(self) -> None:
        self.members = MemberRepository()

    async def create_user(self, email: str) -> Member:
        with self.translating(
            duplicate="Email already exists", failure="Unable to create user account"
        ):
            return await self.members.create(
                {"email": email, "tenant_id": require_current_tenant()}
            )

    async def get_user(self, pk: str) -> Member:
        member = await self.members.get_by_id(pk)
        if member is None:
            raise NotFoundError(f"User {pk} not found")
        return member


@pytest.mark.django_db
class TestAsUsersWriteIt:
    def test_a_finder(self) -> None:
        """`find_by_email` gives the row or None."""
        with set_current_tenant("a"):
            member = Member.objects.create(email="a@b.c")
        find = async_to_sync(MemberRepository().find_by_email)
        assert find("a@b.c") == member
        assert find("x@b.c") is None

    def test_a_filtered_list(self) -> None:
        """`list(filters=...)`, also of one tenant."""
        with set_current_tenant("a"):
            member = Member.objects.create(email="a@b.c")
            Member.objects.create(email="x@b.c", active=False)
        members = SyncMemberRepository()
        assert members.list(filters={"active": True}) == [member]
        assert members.list(filters={"tenant_id": "a", "active": True}) == [member]
        assert members.list(filters={"tenant_id": "b", "active": True}) == []

    def test_errors_translated_by_the_repository(self) -> None:
        """A repository may catch IntegrityError, look at its text and raise core's errors."""

        class Members(MemberRepository):
            async def create(self, data: Any) -> Member:
                try:
                    return await super().create(data)
                except IntegrityError as error:
                    if "email" in str(error) and isinstance(error, AlreadyExistsError):
                        raise AlreadyExistsError("User with this email exists") from error
                    raise DatabaseError("Failed to create user") from error

        create = async_to_sync(Members().create)
        with set_current_tenant("a"):
            create({"email": "a@b.c"})
            with pytest.raises(AlreadyExistsError, match=r"^User with this email exists$"):
                create({"email": "a@b.c"})
            with pytest.raises(DatabaseError, match=r"^Failed to create user$") as caught:
                create({"email": None})
        assert isinstance(caught.value.__cause__, IntegrityError)

    def test_a_complete_service(self, caplog: Any) -> None:
        """Create, refuse the second, find, miss: in the words of the service."""
        service = MemberService()
        create, get = async_to_sync(service.create_user), async_to_sync(service.get_user)
        with set_current_tenant("tenant-123"):
            member = create("a@b.c")
            assert member.tenant_id == "tenant-123"
            with pytest.raises(ValidationError, match=r"^Email already exists$"):
                create("a@b.c")
            with pytest.raises(ServiceError, match=r"^Unable to create user account$"):
                create(None)  # type: ignore[arg-type]  # on purpose
        assert [record.name for record in caplog.records] == ["MemberService"]
        assert get(str(member.pk)) == member
        with pytest.raises(NotFoundError, match=r"^User missing not found$"):
            get("missing")

    def test_errors_keep_what_the_database_said_from_users(self) -> None:
        """The response body has no values of other rows; the log has them."""
        create = partial(SyncMemberRepository().create, {"email": "secret@b.c"})
        with set_current_tenant("a"):
            create()
            with pytest.raises(AppException) as caught:
                create()
        assert "secret" not in str(caught.value.to_dict())
