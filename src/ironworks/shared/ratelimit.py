"""How often one subject, or one address without a credential, may call the control API: token buckets in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ironworks.shared.errors import RateLimited


@dataclass(slots=True)
class RateLimiter:
    """One bucket per name: `rate` tokens a second up to `burst`; at most `most` names are remembered, oldest out first.

    An address's bucket is `address_factor` times larger than a subject's: many subjects may share one address.
    """

    rate: float = 200.0
    burst: float = 400.0
    address_factor: float = 5.0
    most: int = 50_000
    now: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def spend(self, name: str, *, anonymous: bool = False) -> None:
        """Take one token. Raises RateLimited with `retry_after` in whole seconds."""
        factor = self.address_factor if anonymous else 1.0
        rate, burst, now = self.rate * factor, self.burst * factor, self.now()
        tokens, at = self._buckets.pop(name, (burst, now))
        tokens = min(burst, tokens + (now - at) * rate)
        allowed = tokens >= 1.0
        self._buckets[name] = (tokens - 1.0 if allowed else tokens, now)
        if len(self._buckets) > self.most:
            self._buckets.pop(next(iter(self._buckets)))
        if not allowed:
            wait = max(1, math.ceil((1.0 - tokens) / rate))
            raise RateLimited("too many requests; slow down", retry_after=wait)
