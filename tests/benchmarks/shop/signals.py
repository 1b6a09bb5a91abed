"""The events of the shop."""

from core.events import EventSignal

# Takes the project's own four effects.
sold = EventSignal("shop.sold", key="order_id", sensitive={"remark"})

# Take so many routes that do nothing: what firing costs.
fired = {routes: EventSignal(f"shop.fired.{routes}") for routes in (1, 4, 10)}

# Takes one route, which gets one event at a time.
counted = EventSignal("shop.counted")
