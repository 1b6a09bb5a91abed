"""What people do and how the system fares: facts for analytics."""

from core.events import EventSignal

# Provides: user_id (str), action (str, such as "search"), properties (dict).
user_activity = EventSignal("user.activity", sensitive={"ip"})

# Provides: metric (str), value (a number), unit (str), tags (dict).
performance_metric = EventSignal("performance.metric")
