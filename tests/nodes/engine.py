"""Whether a Docker engine answers."""

import os
import socket
from contextlib import closing
from functools import cache

ENGINE_SOCKET = "/var/run/docker.sock"


@cache
def docker_answers() -> bool:
    """Tell whether containers can be started here: an engine is named, or one listens locally."""
    if os.environ.get("DOCKER_HOST"):
        return True
    # Docker's client leaves a socket open when nobody listens.
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        return probe.connect_ex(ENGINE_SOCKET) == 0
