"""Changes to data, and what the system has to report about itself.

The life cycle signals have the model as `sender`. They are fired by `BaseModel` for one row with

    model    "app.model"
    pk       the row's key, as text
    text     how the row read
    changes  {field: [old, new]}

and by bulk operations for at most 1000 rows with

    model    "app.model"
    pks      the rows' keys, as text
    changes  {field: [old, new]}, the same for each of these rows
    exact    False when values were not read, so that a None in `changes` means "unknown"

In `changes` a foreign key is the key it points to, a file its name; secrets are masked and long
values clipped. Of a many-to-many relation it is [the keys that went, the keys that came]. Rows of a
database other than the engine's are announced after their commit.
"""

from core.events import EventSignal

model_created = EventSignal("model.created", after_commit=True)
model_updated = EventSignal("model.updated", after_commit=True)
model_soft_deleted = EventSignal("model.soft_deleted", after_commit=True)
model_restored = EventSignal("model.restored", after_commit=True)
model_deleted = EventSignal("model.deleted", after_commit=True)

# Provides: old (Decimal), new (Decimal), changed_by (str: the user's key, or None), effective_at
# (datetime: a planned change is announced a little after it). `sender` is PlatformFeeConfig.
platform_fee_changed = EventSignal("platform_fee.changed", after_commit=True)

# Provides: changes ({field: [old, new]}: planned_percentage and planned_from, None for nothing
# planned), changed_by (str: the user's key, or None). `sender` is PlatformFeeConfig.
platform_fee_planned = EventSignal("platform_fee.planned", after_commit=True)

# Provides: action (str, such as "report.exported"), target (a model instance or None),
# changes ({field: [old, new]}), request (dict: method, path, ip).
audit_event = EventSignal("audit.event")

# Provides: error (str: the class), message (str), path (str or None).
system_error = EventSignal("system.error")

# Provides: service (str, such as "twilio"), operation (str), outcome (str), details (dict).
integration_event = EventSignal("integration.event")

# Provides: keys (list of str), patterns (list of str), reason (str).
cache_invalidation_requested = EventSignal("cache.invalidation_requested")
