"""What can go wrong between a client and the API."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """The API answered with its error envelope.

    `status` is the HTTP status, `code` the stable word, `request_id` what to tell the operator.
    """

    def __init__(self, status: int, code: str, message: str, details: dict[str, Any], request_id: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id

    @property
    def problems(self) -> list[dict[str, str]]:
        """The fields that are wrong: `{"field", "problem", "remedy"}` each."""
        found: list[dict[str, str]] = self.details.get("fields", [])
        return found


class Unreachable(Exception):
    """Nothing answers at the API's address."""
