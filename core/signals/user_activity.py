"""What people do and how the system fares: facts for analytics."""

from django.dispatch import Signal

from core.events import EventSignal

# Provides: user_id (str), action (str, such as "search"), properties (dict).
user_activity = EventSignal("user.activity", sensitive={"ip"})

# Provides: metric (str), value (a number), unit (str), tags (dict).
performance_metric = EventSignal("performance.metric")

# A plain Django signal for each request, not kept by the engine. Its receivers run within the
# request: they are synchronous, quick and ask no database. `sender` is the middleware. Provides:
# facts (dict): method ("OTHER" for an unknown one), route (str: the URL's pattern, as in
# "orders/<uuid:pk>"; None where there is none), status (int; 499 when the client went away),
# duration_ms (float), user_id, tenant_id and correlation_id (str or None).
request_measured = Signal()
