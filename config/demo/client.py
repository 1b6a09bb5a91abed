"""Somebody who talks to the example's HTTP API, signed in with a session like any browser."""

from __future__ import annotations

from typing import Any

import requests

TIMEOUT = 30


class ApiError(Exception):
    """The API did not answer as the demo expects."""


class Client:
    """One signed-in person."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = f"{url}/api"
        self._session = requests.Session()
        self._refresh("GET", None)
        self._refresh("POST", {"username": username, "password": password})

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON body of one request; raises ApiError without JSON."""
        response = self._session.request(method, f"{self._url}/{path}", json=body, timeout=TIMEOUT)
        try:
            return response.status_code, response.json()
        except ValueError as error:
            raise ApiError(f"{method} {path} answered {response.status_code}, no JSON") from error

    def must(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the JSON body of a request that has to succeed; raises ApiError."""
        status, answer = self.call(method, path, body)
        if status >= 400:
            raise ApiError(f"{method} {path} answered {status}: {answer}")
        return answer

    def _refresh(self, method: str, body: Any) -> None:
        # Django changes the token on signing in, so it is asked for both before and after.
        self._session.headers["X-CSRFToken"] = self.must(method, "session", body)["csrf_token"]
