"""Pages by number and behind a cursor."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.db.models import Value
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.db_toolkit.keyset import akeyset_page, keyset_page
from core.db_toolkit.pagination import (
    PaginationParams,
    PaginationResult,
    apaginate,
    ordered,
    paginate,
)
from core.exceptions import ValidationError
from core.helpers import calculate_pagination
from tests.sample.models import Book, Draft, Shelf


class TestParams:
    def test_the_size_has_three_names(self) -> None:
        """`size`, `per_page` and `page_size` are one thing, to give and to read."""
        for params in (
            PaginationParams(page=2, size=10),
            PaginationParams(page=2, per_page=10),
            PaginationParams(2, page_size=10),
            PaginationParams(2, 10, per_page=10),
        ):
            assert (params.page, params.size) == (2, 10)
            assert params.per_page == params.page_size == 10
            assert params.offset == 10

    def test_there_are_defaults(self) -> None:
        """Without arguments it is the first page of 20."""
        assert PaginationParams() == PaginationParams(1, 20)

    def test_digits_are_numbers(self) -> None:
        """What comes in a query string is taken as it is."""
        assert PaginationParams("2", "100") == PaginationParams(2, 100)

    @pytest.mark.parametrize("name", ["page", "size"])
    @pytest.mark.parametrize(
        "value",
        [
            0,
            -1,
            None,
            Decimal("sNaN"),
            "",
            "0",
            "x",
            "²",
            "1.0",
            1.5,
            True,
            float("nan"),
            [],
            "9" * 5000,
        ],
    )
    def test_bad_numbers_are_refused(self, name: str, value: Any) -> None:
        """Whatever is no whole number from 1 on raises ValidationError with name and value."""
        with pytest.raises(ValidationError, match=f"{name} must be a whole number from 1"):
            PaginationParams(**{name: value})

    def test_a_text_of_too_many_digits_is_told_so(self) -> None:
        """It is a whole number from 1 on, so the message says what else is wrong."""
        assert PaginationParams(page="9" * 18).page == 10**18 - 1
        with pytest.raises(ValidationError, match=r"page .* of at most 18 digits, got '1000"):
            PaginationParams(page=str(10**18))
        with pytest.raises(ValidationError, match="size must be a whole number from 1 to 100, got"):
            PaginationParams(size=str(10**18))

    def test_pages_have_a_largest_size(self) -> None:
        """More than 100 items are no page."""
        with pytest.raises(ValidationError, match="from 1 to 100, got 101"):
            PaginationParams(size=101)

    def test_two_sizes_are_refused(self) -> None:
        """Names of one thing may not differ, whichever; a text and a number may agree."""
        for sizes in ({"size": 10}, {"size": "20"}, {"page_size": 20}, {"page_size": "10"}):
            with pytest.raises(ValidationError, match=r"=\d+, .*=30|=30, .*=\d+") as caught:
                PaginationParams(per_page=30, **sizes)
            assert "give one of them" in caught.value.message
        assert PaginationParams(size="20", per_page=20, page_size="20").size == 20

    @pytest.mark.parametrize("name", ["per_page", "page_size"])
    def test_a_bad_size_is_named_as_it_was_given(self, name: str) -> None:
        """The error names the argument that is wrong, not another name of it."""
        with pytest.raises(ValidationError, match=f"^{name} must be a whole number from 1 to 100"):
            PaginationParams(**{name: 0})


class TestResult:
    def test_it_knows_where_it_stands(self) -> None:
        """A page tells how many there are and what is beside it."""
        page = PaginationResult(["x"], total=100, page=2, size=20)
        assert (page.total_pages, page.pages, page.per_page, page.page_size) == (5, 5, 20, 20)
        assert page.has_next
        assert page.has_previous
        assert page.to_dict() == {
            "items": ["x"],
            "total": 100,
            "page": 2,
            "size": 20,
            "total_pages": 5,
            "has_next": True,
            "has_previous": True,
        }

    def test_no_items_make_no_pages(self) -> None:
        """Nothing to show is 0 pages, of which the first has nothing beside it."""
        page: PaginationResult[int] = PaginationResult([], 0)
        assert (page.total_pages, page.has_next, page.has_previous) == (0, False, False)

    def test_items_can_be_turned_into_others(self) -> None:
        """`map` keeps all but the items."""
        page = PaginationResult([1, 2], 5, 1, 2).map(str)
        assert (page.items, page.total, page.size) == (["1", "2"], 5, 2)

    def test_impossible_pages_are_refused(self) -> None:
        """A negative total or a page 0 raises ValidationError."""
        for numbers in ((-1, 1, 20), (0, 0, 20), (0, 1, 0), (None, 1, 20)):
            with pytest.raises(ValidationError, match="whole number"):
                PaginationResult([], *numbers)  # type: ignore[arg-type]  # wrong on purpose

    @pytest.mark.parametrize("numbers", [(100, 2, 20), (0, 1, 20), (5, 9, 2), (101, 6, 20)])
    def test_it_agrees_with_the_helper(self, numbers: tuple[int, int, int]) -> None:
        """`calculate_pagination` and a result say the same."""
        helper, page = calculate_pagination(*numbers), PaginationResult([], *numbers)
        assert helper["total_pages"] == page.total_pages
        assert helper["has_next"] == page.has_next
        assert helper["has_previous"] == page.has_previous


@pytest.fixture
def shelves(db: None) -> list[Shelf]:
    """Seven shelves, made at once as far as their timestamps say."""
    made = [Shelf.objects.create(label=str(number)) for number in range(7)]
    Shelf.objects.update(created_at=timezone.now())
    return made


@pytest.fixture(params=["sync", "async"])
def pages(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Both kinds of pages, in their sync and in their async form."""
    if request.param == "sync":
        return paginate, keyset_page
    return async_to_sync(apaginate), async_to_sync(akeyset_page)


class TestNumberedPages:
    def test_they_do_not_overlap(self, shelves: Any, pages: Any) -> None:
        """Rows with equal values are told apart by their key, so each is on one page."""
        found = [
            row
            for number in (1, 2, 3)
            for row in pages[0](
                Shelf.objects.all(), PaginationParams(number, 3), "created_at"
            ).items
        ]
        assert sorted(found, key=lambda row: row.label) == shelves
        assert found == sorted(found, key=lambda row: row.pk)

    def test_a_page_is_two_queries(self, shelves: Any) -> None:
        """Counting and reading; beyond the last page only counting."""
        with CaptureQueriesContext(
            connection,
        ) as queries:
            paginate(Shelf.objects.all(), PaginationParams(1, 3))
        assert len(queries) == 2
        with CaptureQueriesContext(connection) as queries:
            paginate(Shelf.objects.all(), PaginationParams(4, 3))
        assert len(queries) == 1

    @pytest.mark.parametrize("number", [4, 10**9, 10**18 - 1, 10**30])
    def test_a_page_beyond_the_last_keeps_its_number(
        self, shelves: Any, pages: Any, number: int
    ) -> None:
        """It is empty, and nothing comes after it."""
        page = pages[0](Shelf.objects.all(), PaginationParams(number, 3))
        assert (page.items, page.page, page.total, page.total_pages) == ([], number, 7, 3)
        assert not page.has_next
        assert page.has_previous

    def test_the_order_is_that_of_the_rows_or_the_model(self) -> None:
        """Asked for, else the queryset's, else the model's; the key comes last, the same way."""
        rows = Shelf.objects.all()
        assert ordered(rows, "-label").query.order_by == ("-label", "-pk")
        assert ordered(rows, ["label", "created_at"]).query.order_by == (
            "label",
            "created_at",
            "pk",
        )
        assert ordered(rows.order_by("label")).query.order_by == ("label", "pk")
        assert ordered(rows).query.order_by == ("-created_at", "-pk")
        assert ordered(rows, "-pk").query.order_by == ("-pk",)
        assert ordered(Draft.objects.all()).query.order_by == ("pk",)

    @pytest.mark.parametrize("order", ["colour", "-colour", ["label", "colour"], "label__x"])
    def test_an_unknown_field_is_refused(self, order: Any) -> None:
        """Ordering by what is not there raises ValidationError that names it."""
        with pytest.raises(ValidationError, match=r"Shelf cannot be ordered by .*(colour|x)"):
            paginate(Shelf.objects.all(), PaginationParams(), order)

    @pytest.mark.parametrize("order", ["", "-", "?", 7, [7], {"label": 1}])
    def test_what_names_no_field_is_refused(self, order: Any) -> None:
        """An order is names."""
        with pytest.raises(ValidationError, match="order_by must"):
            paginate(Shelf.objects.all(), PaginationParams(), order)


def _walk(pages: Any, rows: Any, **options: Any) -> list[Any]:
    found, cursor = [], None
    while True:
        page = pages[1](rows, after=cursor, **options)
        found += page.items
        cursor = page.next_cursor
        assert page.has_next == (cursor is not None)
        if cursor is None:
            return found


class TestKeysetPages:
    @pytest.mark.parametrize("size", [1, 3, 7, 100])
    @pytest.mark.parametrize(
        "order", [None, "created_at", "-label", "pk", ["created_at", "-label"], ["-id"]]
    )
    def test_a_walk_meets_each_row_once(
        self, shelves: Any, pages: Any, size: int, order: Any
    ) -> None:
        """In every order, also of equal values and mixed directions, all rows in their order."""
        found = _walk(pages, Shelf.objects.all(), size=size, order_by=order)
        assert found == list(ordered(Shelf.objects.all(), order))

    def test_a_page_is_one_query(self, shelves: Any) -> None:
        """Nothing is counted."""
        cursor = keyset_page(Shelf.objects.all(), size=3).next_cursor
        with CaptureQueriesContext(connection) as queries:
            keyset_page(Shelf.objects.all(), size=3, after=cursor)
        assert len(queries) == 1

    def test_rows_that_come_and_go_shift_nothing(self, shelves: Any) -> None:
        """A row before the cursor that comes or goes leaves the next page as it was."""
        first = keyset_page(Shelf.objects.all(), size=3, order_by="label")
        shelves[0].delete()
        Shelf.objects.create(label="!")
        second = keyset_page(Shelf.objects.all(), size=3, order_by="label", after=first.next_cursor)
        assert [row.label for row in second.items] == ["3", "4", "5"]

    def test_values_of_all_kinds_come_back(self, db: None) -> None:
        """Decimals, dates with microseconds, texts and references place a row exactly."""
        shelf, now = Shelf.objects.create(label="s"), timezone.now()
        for number in range(5):
            book = Book.objects.create(title=f"ü'{number}", price=f"{number}.10", shelf=shelf)
            Book.objects.filter(pk=book.pk).update(created_at=now + timedelta(microseconds=number))
        for order in ("price", "created_at", "title", "copies"):
            rows = _walk((None, keyset_page), Book.objects.all(), size=2, order_by=order)
            assert rows == list(ordered(Book.objects.all(), order))

    @pytest.mark.parametrize("cursor", ["", "x", "a:b", b"x", 7, ["x"], "x" * 10_000])
    def test_a_bad_cursor_is_refused(self, shelves: Any, cursor: Any) -> None:
        """What this system did not sign raises ValidationError."""
        with pytest.raises(ValidationError, match="does not belong to this list") as caught:
            keyset_page(Shelf.objects.all(), after=cursor)
        assert caught.value.error_code == "BAD_CURSOR"

    def test_a_cursor_of_another_list_is_refused(self, shelves: Any) -> None:
        """A cursor stands for a place in one order of one model."""
        cursor = keyset_page(Shelf.objects.all(), size=1, order_by="label").next_cursor
        assert cursor is not None
        for attempt in (
            lambda: keyset_page(Shelf.objects.all(), after=cursor, order_by="-label"),
            lambda: keyset_page(Book.objects.all(), after=cursor, order_by="title"),
            lambda: keyset_page(Shelf.objects.all(), after=cursor[:-1], order_by="label"),
        ):
            with pytest.raises(ValidationError, match="does not belong"):
                attempt()

    @pytest.mark.parametrize("size", [0, -1, 101, None, "x", 10**9])
    def test_bad_sizes_are_refused(self, size: Any) -> None:
        """The sizes are those of numbered pages."""
        with pytest.raises(ValidationError, match="size must be a whole number"):
            keyset_page(Shelf.objects.all(), size=size)

    def test_fields_without_places_are_refused(self) -> None:
        """An unknown field, with the one that was meant, and a field that can be null."""
        with pytest.raises(ValidationError, match=r"no field 'lable' \(did you mean 'label'\?\)"):
            keyset_page(Shelf.objects.all(), order_by="lable")
        with pytest.raises(ValidationError, match=r"Book\.printed_on can be null"):
            keyset_page(Book.objects.all(), order_by="printed_on")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["number__x", "number__gt", "number__x__y", "-number__x"])
def test_a_path_behind_an_annotation_is_refused(name: str) -> None:
    """A computed value can be ordered by, but has nothing behind it; no query runs to find out."""
    rows = Shelf.objects.annotate(number=Value(1))
    assert paginate(rows, PaginationParams(), "-number").items == []
    with pytest.raises(ValidationError, match="cannot be ordered by"):
        paginate(rows, PaginationParams(), name)


@pytest.mark.parametrize("rows", [None, [1, 2], "rows", Book])
def test_only_querysets_have_pages(rows: Any) -> None:
    """Anything else is refused by its type."""
    for pages in (partial(paginate, params=PaginationParams()), keyset_page):
        with pytest.raises(TypeError, match="rows must be a queryset"):
            pages(rows)


@pytest.mark.parametrize("rows", [Shelf.objects.values("label"), Shelf.objects.values_list()])
def test_keyset_pages_are_of_rows(rows: Any) -> None:
    """Values are refused at once, not when a page is the first that has another behind it."""
    with pytest.raises(TypeError, match=r"not values\(\)"):
        keyset_page(rows)


@pytest.mark.parametrize("params", [None, 1, "1", {"page": 1}, (1, 20)])
def test_a_page_is_asked_for_by_its_parameters(params: Any) -> None:
    """What is no `PaginationParams` is refused by name, whichever way the page is read."""
    for pages in (paginate, async_to_sync(apaginate)):
        with pytest.raises(TypeError, match=r"params must be PaginationParams\(page, size\), got"):
            pages(Shelf.objects.all(), params)
