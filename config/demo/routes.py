"""The wiring of the system, with leases as short as its fake services are quick.

A lease is the time for which a killed worker keeps what it held. Those of the routes give real
services time to answer, up to half a minute, for which the audience would have to wait.
"""

from dataclasses import replace

from core.events.routing import routing

LONGEST_LEASE = 5.0

for route in routing:
    # Loaded last of all routes modules, as the demo is the last of the apps.
    routing.remove(route.name)
    routing.add(replace(route, lease=min(route.lease, LONGEST_LEASE)))
