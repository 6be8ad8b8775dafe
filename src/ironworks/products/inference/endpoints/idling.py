"""When an endpoint goes to sleep for want of requests, and when it is up again.

It sleeps once nobody has asked it anything for as long as its spec says, counted from when it last became ready. What
wakes it is a count of wake-ups, not a time: whoever reads the count, decides that it sleeps and stores the count it had
read cannot miss a wake-up that came in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ironworks.products.inference.endpoints.model import Endpoint


@dataclass(frozen=True, slots=True)
class Activity:
    """What is known of an endpoint's use; see `activity` in the database."""

    last_used_at: datetime | None = None
    woken_at: datetime | None = None
    wakes: int = 0
    slept_after: int = 0


def sleeps_since(endpoint: Endpoint, activity: Activity, now: datetime) -> datetime | None:
    """Since when it should be asleep, which may be `now`; None while it should be up."""
    after = endpoint.spec.replicas.scale_to_zero_after_seconds
    if after is None or endpoint.spec.replicas.num == 0:
        return None
    asleep = endpoint.status.idle_since
    if asleep is not None:
        return asleep if activity.wakes == activity.slept_after else None
    quiet_since = _quiet_since(endpoint, activity)
    return now if quiet_since is not None and now - quiet_since >= timedelta(seconds=after) else None


def _quiet_since(endpoint: Endpoint, activity: Activity) -> datetime | None:
    """When it was last ready, used or woken, whichever came last; None while it is not ready."""
    ready = next((c for c in endpoint.status.conditions if c.type == "Ready"), None)
    if ready is None or ready.status != "True" or ready.last_transition_time is None:
        return None
    return max(filter(None, (ready.last_transition_time, activity.last_used_at, activity.woken_at)))
