"""What calls to other services announce: plain Django signals, for metrics and alarms.

To keep one as a durable event: `registry.adopt(circuit_changed, "circuit.changed", payload=...)`.
"""

from django.dispatch import Signal

# Sent once per call, whatever its outcome, with: service (host and port), method, path, status
# (None without an answer), duration in seconds, attempts, outcome ("ok" or an error code).
external_call_finished = Signal()

# Sent with: origin ("https://host:port"), old and new (CircuitState).
circuit_changed = Signal()
