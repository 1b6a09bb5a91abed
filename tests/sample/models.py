"""Models of each kind that the base models and mixins make possible."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models.functions import Upper

from core.base_models import BaseModel, DBBaseModel, TenantBaseModel, TimeStampedModel
from core.constraints import UniqueActiveConstraint
from core.model_mixins import (
    AuditMixin,
    MetadataMixin,
    OrderableMixin,
    SlugMixin,
    SoftDeleteMixin,
    TenantMixin,
    TimestampMixin,
    UUIDPrimaryKeyMixin,
)
from core.rows.lifecycle import LifecycleModel
from core.tenancy import TenantScopedManager


class Shelf(BaseModel):
    """Something that books stand on."""

    label = models.CharField(max_length=50, unique=True)

    def __str__(self) -> str:
        return self.label


class Book(BaseModel):
    """A model with a field of each kind that events treat in a way of their own."""

    class Genre(models.TextChoices):
        NOVEL = "novel"
        ESSAY = "essay"

    title = models.CharField(max_length=100)
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, null=True, related_name="books")
    sequel_to = models.ForeignKey("self", on_delete=models.SET_NULL, null=True)
    price = models.DecimalField(max_digits=6, decimal_places=2, default=Decimal("9.90"))
    genre = models.CharField(max_length=10, choices=Genre.choices, default=Genre.NOVEL)
    copies = models.IntegerField(default=0)
    notes = models.JSONField(default=dict)
    text = models.TextField(default="")
    cover = models.FileField(default="")
    scan = models.BinaryField(default=b"")
    printed_on = models.DateField(null=True)
    access_token = models.CharField(max_length=50, default="")
    owner_phone = models.CharField(max_length=50, default="")
    views = models.IntegerField(default=0)

    event_exclude = ("views",)
    event_masked = ("owner_phone",)

    def __str__(self) -> str:
        return self.title


class Novel(Book):
    """A book in a table of its own."""

    pages = models.IntegerField(default=0)


class Paperback(Book):
    """A book by another name."""

    class Meta:
        proxy = True


class Page(BaseModel):
    """A model with a required parent that is removed with it."""

    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="pages_of_it")
    number = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.number} of {self.book.title}"


class Account(BaseModel):
    """A model whose bulk changes are announced with old and new values."""

    name = models.CharField(max_length=50)
    balance = models.IntegerField(default=0)

    track_bulk_changes = True

    class Meta(BaseModel.Meta):
        constraints = [models.UniqueConstraint(fields=["name"], name="sample_account_name")]


class Counter(BaseModel):
    """A model that fires no events."""

    value = models.IntegerField(default=0)

    emits_events = False


class Ticket(LifecycleModel):
    """Life cycle signals with a key made by the database, and without soft deletion."""

    seat = models.CharField(max_length=10, unique=True)


class Draft(SoftDeleteMixin):
    """Soft deletion with an integer key and without timestamps."""

    title = models.CharField(max_length=50)
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="children")


class Stamped(TimeStampedModel):
    """Timestamps alone."""

    name = models.CharField(max_length=50)


class PlainHTTPRecord(DBBaseModel):
    """A UUID key, timestamps and a table name."""


class LoginLog(DBBaseModel):
    """A table name of its own."""

    __tablename__ = "user_login_log"


class MixinsFirst(UUIDPrimaryKeyMixin, SoftDeleteMixin, TimestampMixin, BaseModel):
    """Mixins before the base model."""


class MixinsLast(BaseModel, TimestampMixin, SoftDeleteMixin, UUIDPrimaryKeyMixin):
    """Mixins after the base model."""

    class Meta(BaseModel.Meta):
        db_table = "mixins_at_the_end"


class Room(models.Model):
    """A model that knows nothing of life cycle signals."""

    def __str__(self) -> str:
        return f"room {self.pk}"


class Desk(BaseModel):
    """A model whose parent knows nothing of life cycle signals."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE)


class Seat(BaseModel):
    """A model whose unique value is free again when its row is deleted."""

    number = models.IntegerField()

    class Meta(BaseModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["number"], condition=models.Q(is_deleted=False), name="sample_seat_number"
            )
        ]


class Club(BaseModel):
    """A model with many-to-many relations."""

    members = models.ManyToManyField(Account, related_name="clubs")
    friends = models.ManyToManyField("self")
    guests = models.ManyToManyField(Account, related_name="+")
    rooms = models.ManyToManyField(Room, related_name="clubs")

    event_exclude = ("guests",)


class Profile(models.Model):
    """What belongs to a user, as `user.profile`."""

    # Without a constraint: these tables are made before those of apps that have migrations.
    user = models.OneToOneField(
        "auth.User", on_delete=models.CASCADE, related_name="profile", db_constraint=False
    )

    def __str__(self) -> str:
        return f"profile {self.pk}"


class Gathering(models.Model):
    """Something with a host (a profile), a manager (a user) and a maker (a user's key)."""

    host = models.ForeignKey(Profile, on_delete=models.CASCADE, null=True)
    manager = models.ForeignKey(
        "auth.User", on_delete=models.CASCADE, null=True, db_constraint=False
    )
    created_by = models.CharField(max_length=64, default="")
    seats = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"gathering {self.pk}"


class Invitation(models.Model):
    """Something whose owner is the owner of something else."""

    event = models.ForeignKey(Gathering, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"invitation {self.pk}"


class Folder(BaseModel):
    """A model whose soft deletion takes along what refers to it, also in circles."""

    name = models.CharField(max_length=50)
    code = models.CharField(max_length=50, unique=True, default=uuid4)
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="children")
    cover = models.ForeignKey("Document", on_delete=models.CASCADE, null=True, related_name="+")

    soft_delete_cascade = True

    def __str__(self) -> str:
        return self.name


class Document(BaseModel):
    """A model that goes with its folder, and whose titles are unique among live rows."""

    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=50)

    class Meta(BaseModel.Meta):
        constraints = [
            UniqueActiveConstraint(fields=["folder", "title"], name="sample_document_title")
        ]

    def __str__(self) -> str:
        return self.title


class Deed(Document):
    """A document in a table of its own."""

    value = models.IntegerField(default=0)


class Signature(BaseModel):
    """A model that goes with a row of a child model."""

    deed = models.ForeignKey(Deed, on_delete=models.CASCADE)


class Remark(SoftDeleteMixin):
    """A model two levels below a folder, with an integer key and without events."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE)


class Attachment(models.Model):
    """A model that would go with a document, but cannot be marked."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"attachment {self.pk}"


class Shortcut(BaseModel):
    """A model that refers to a folder by another value than its key."""

    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, to_field="code")


class Reading(BaseModel):
    """A model whose references are not CASCADE."""

    protects = models.ForeignKey(Folder, on_delete=models.PROTECT, null=True, related_name="+")
    restricts = models.ForeignKey(Document, on_delete=models.RESTRICT, null=True)
    lets_go = models.ForeignKey(Folder, on_delete=models.SET_NULL, null=True, related_name="+")
    goes_along = models.ForeignKey(Folder, on_delete=models.CASCADE, null=True, related_name="+")


class UserProfile(DBBaseModel):
    """The lean base alone, with a name of two words."""

    email = models.EmailField(default="")


class Contract(DBBaseModel, AuditMixin):
    """Who made it and who saved it last, after the base."""

    title = models.CharField(max_length=50, default="")


class Membership(DBBaseModel, TenantMixin):
    """A tenant's row, the mixin after the base."""


class Customer(TenantBaseModel):
    """A tenant's row by its base."""

    name = models.CharField(max_length=50, default="")


class Invoice(BaseModel, AuditMixin, TenantMixin, MetadataMixin, OrderableMixin, SlugMixin):
    """All mixins after the base model."""


class Receipt(SlugMixin, OrderableMixin, MetadataMixin, TenantMixin, AuditMixin, BaseModel):
    """All mixins before the base model."""


class Lead(TenantBaseModel, SoftDeleteMixin):
    """A tenant's row that is marked instead of removed."""


class Step(OrderableMixin, SlugMixin, MetadataMixin, AuditMixin, TenantMixin):
    """Mixins alone, with an integer key."""


class Bid(TenantMixin, LifecycleModel):
    """A tenant's row that announces what happens to it, without soft deletion."""

    amount = models.IntegerField(default=0)


class Trial(Customer):
    """A customer with a table of its own beside the parent's."""

    days = models.IntegerField(default=30)


class Parcel(BaseModel, TenantMixin):
    """A tenant's row that is seen by its tenant only."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, null=True, related_name="parcels"
    )
    code = models.CharField(max_length=20, default="")

    objects = TenantScopedManager()


class Locker(TenantMixin, BaseModel):
    """The same with the mixin first."""

    objects = TenantScopedManager()


class Member(TenantBaseModel):
    """A tenant's row with a unique value."""

    email = models.EmailField(unique=True)
    active = models.BooleanField(default=True)


class Specimen(models.Model):
    """A field of every kind that Django has."""

    class Size(models.IntegerChoices):
        SMALL = 1
        LARGE = 2

    class Colour(models.TextChoices):
        RED = "red"
        BLUE = "blue"

    small = models.SmallIntegerField(null=True)
    integer = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    count = models.PositiveIntegerField(null=True)
    ratio = models.FloatField(null=True)
    amount = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    flag = models.BooleanField(null=True)
    word = models.CharField(max_length=50, default="")
    slug = models.SlugField(default="")
    text = models.TextField(default="")
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    hour = models.TimeField(null=True)
    period = models.DurationField(null=True)
    token = models.UUIDField(null=True)
    address = models.GenericIPAddressField(null=True)
    document = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    cover = models.FileField(null=True)
    size = models.IntegerField(choices=Size.choices, null=True)
    colour = models.CharField(max_length=10, choices=Colour.choices, default="")
    made_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    room = models.ForeignKey(Room, on_delete=models.CASCADE, null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"specimen {self.pk}"


class LoudSpecimen(Specimen, UUIDPrimaryKeyMixin, LifecycleModel):
    """One that is announced."""

    class Meta(LifecycleModel.Meta):
        """As that of a specimen, with the managers of the life cycle."""


class QuietSpecimen(Specimen):
    """One that is saved by Django alone."""


class Marker(LifecycleModel):
    """A row of nothing but its key."""

    def __str__(self) -> str:
        return f"marker {self.pk}"


class CapitalsField(models.CharField):  # type: ignore[type-arg]  # not generic at run time
    """Text that the database turns into capitals."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return an expression, as a field of anybody's may."""
        return Upper(models.Value(getattr(model_instance, self.attname)))


class Headline(BaseModel):
    """A model with a field that brings SQL of its own."""

    text = CapitalsField(max_length=50)


class Careful(BaseModel):
    """A model that Django looks up before it is saved."""

    value = models.IntegerField(default=0)

    class Meta(BaseModel.Meta):
        select_on_save = True


class Numbered(BaseModel):
    """A model that overrides how Django writes it."""

    value = models.IntegerField(default=0)

    def _do_update(self, base_qs: Any, using: Any, pk_val: Any, values: Any, *more: Any) -> Any:
        values = [(f, m, v * 10 if f.name == "value" else v) for f, m, v in values]
        return super()._do_update(base_qs, using, pk_val, values, *more)
