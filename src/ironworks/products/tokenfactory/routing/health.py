"""What one gateway process knows of an upstream: its load from here, its recent failures, how fast it begins to answer.

Health is read from the requests that pass: one that refuses connections is set aside at once, one that breaks exchanges
at the third in a row; the time aside doubles while it goes on failing. Where it is looked at between requests too
(`HealthCheck`), looks that find it ill set it aside as well, until one finds it well. Who comes back gets its share of
requests little by little, for a replica that has just started is slow, and one that still fails should fail few.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from ironworks.products.tokenfactory.routing.table import Replica

Standing: TypeAlias = Literal["healthy", "slow_start", "resting", "ejected"]
"""From well to ill."""

FAILURES_BEFORE_EJECTION: Final = 3
FIRST_EJECTION: Final = 1.0
LONGEST_EJECTION: Final = 30.0
LONGEST_REST: Final = 60.0
"""However long an upstream asks to be left alone."""
SLOW_START: Final = 10.0
LEAST_SHARE: Final = 0.1
REFUSES: Final = "a look found that it cannot be reached"
LOOKS_ILL: Final = "a look found that it is not well"
SMOOTHING: Final = 0.2
"""Weight of the newest observation in the moving average of times to the first byte."""


class ReplicaState:
    """One upstream, as this process sees it. Times are monotonic, in seconds.

    Attributes:
        in_flight: requests that it has from here. latency: moving average of the time to the first byte, 0 if unknown.
        ejected_until: set aside after failures. cooled_until: left alone because it asked for it. ramp_until: gets less
            than its share. unreachable: it was set aside for refusing a connection. ill: a look set it aside.
        fault, failed_at: what went wrong at last and when; empty and 0 where nothing did.
    """

    __slots__ = (
        "_ill_looks",
        "cooled_until",
        "ejected_until",
        "ejections",
        "failed_at",
        "failures",
        "fault",
        "ill",
        "in_flight",
        "latency",
        "ramp_until",
        "replica",
        "unreachable",
    )

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.in_flight = 0
        self.failures = 0
        self.ejections = 0
        self.ejected_until = 0.0
        self.cooled_until = 0.0
        self.ramp_until = 0.0
        self.latency = 0.0
        self.unreachable = False
        self.ill = False
        self.fault = ""
        self.failed_at = 0.0
        self._ill_looks = 0

    def succeeded(self) -> None:
        """It answered: all is forgiven, but what a look found; the next look will tell."""
        if self.failures or self.ejections:
            self.failures = self.ejections = 0
            if not self.ill:
                self.ejected_until = 0.0

    def failed(self, now: float, *, unreachable: bool, fault: str = "") -> None:
        """It refused the connection (set aside at once) or broke an exchange (set aside at the third in a row).

        The time aside doubles from 1 s to 30 s while it goes on failing. `fault` says what it did, in our own words.
        """
        self.note(now, fault)
        self.failures += 1
        if unreachable or self.failures >= FAILURES_BEFORE_EJECTION:
            self.unreachable = unreachable
            aside = now + min(LONGEST_EJECTION, FIRST_EJECTION * 2**self.ejections)
            self.ejected_until = max(self.ejected_until, aside)
            self.ramp_until = self.ejected_until + SLOW_START
            self.ejections = min(self.ejections + 1, 10)
            self.failures = 0

    def note(self, now: float, fault: str) -> None:
        """Remember what went wrong, for people: it decides nothing."""
        self.fault = fault
        self.failed_at = now

    def recovered(self, now: float) -> None:
        """A look found it well before its time aside was over; requests follow little by little.

        Where exchanges broke, its time aside goes on: that it is well when asked says nothing of those.
        """
        self._ill_looks = 0
        if (self.unreachable or self.ill) and self.ejected_until > now:
            self.ejected_until = now
            self.ramp_until = now + SLOW_START
        self.unreachable = self.ill = False

    def looked_ill(self, now: float, again: float, failures: int, *, unreachable: bool) -> bool:
        """A look found it ill, the next one is due in `again` seconds; whether that set it aside just now.

        Refusing a connection sets it aside at once, anything else at the `failures`-th look in a row.
        """
        self._ill_looks += 1
        if not unreachable and self._ill_looks < failures:
            return False
        self.note(now, REFUSES if unreachable else LOOKS_ILL)
        fresh = self.ejected_until <= now
        self.ill = True
        self.unreachable = unreachable
        self.ejected_until = max(self.ejected_until, now + again + LONGEST_EJECTION)
        self.ramp_until = self.ejected_until + SLOW_START
        return fresh

    def cool(self, now: float, seconds: float) -> None:
        """It asked to be left alone for so long (Retry-After); that is no failure. At most a minute is granted."""
        self.cooled_until = max(self.cooled_until, now + min(seconds, LONGEST_REST))

    def observed(self, seconds: float) -> None:
        """An answer began so long after it was asked."""
        self.latency += (seconds - self.latency) * (SMOOTHING if self.latency else 1.0)

    def share(self, now: float) -> float:
        """The part of its requests that it should get now: from a tenth, when it comes back, to all of them."""
        left = self.ramp_until - now
        return 1.0 if left <= 0 else max(LEAST_SHARE, 1.0 - left / SLOW_START)

    def standing(self, now: float) -> tuple[Standing, float | None]:
        """How it stands and until when; None where that is not known: a look must find it well first."""
        if self.ejected_until > now:
            return "ejected", None if self.ill else self.ejected_until
        if self.cooled_until > now:
            return "resting", self.cooled_until
        return ("slow_start", self.ramp_until) if self.ramp_until > now else ("healthy", None)
