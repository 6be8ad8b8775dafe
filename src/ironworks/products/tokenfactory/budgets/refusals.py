"""What a caller is told whom a budget does not let pass: which one, as far as he may know it, and when to come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from ironworks.products.tokenfactory.budgets.model import BudgetView
from ironworks.shared.path import covers, show_path


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that budgets do not let pass.

    Args:
        code: `budget_exhausted` (429): its worst case is more than what is left, or what is left stayed held by others;
            `budget_unavailable` (503): nobody can say. message: names the budget where the caller may know it.
        retry_after: whole seconds, None where waiting does not help.
    """

    code: Literal["budget_exhausted", "budget_unavailable"]
    status: int
    message: str
    retry_after: int | None
    budget: UUID


def exhausted(view: BudgetView, key_scope: str, ends_in: float | None, *, held: bool) -> Refused:
    """429. `ends_in`: seconds to the period's end. `held`: it is not spent, but requests in flight hold it."""
    name = describe(view, key_scope)
    if held:
        message = f"what is left of {name} is held by requests in flight; try again shortly"
        return Refused("budget_exhausted", 429, message, 1, view.uid)
    retry_after = None if ends_in is None else int(ends_in) + 1
    later = f"; its next {view.period} begins in {retry_after} seconds" if retry_after is not None else ""
    message = f"{name} does not cover this request's worst case any more{later}"
    return Refused("budget_exhausted", 429, message, retry_after, view.uid)


def unavailable(view: BudgetView, key_scope: str) -> Refused:
    """503."""
    message = f"{describe(view, key_scope)} cannot be asked now, and it refuses what it cannot account for"
    return Refused("budget_unavailable", 503, message, 1, view.uid)


def describe(view: BudgetView, key_scope: str) -> str:
    """The budget in words for a key at `key_scope`: by name only where it lives at or below the key's platform."""
    platform = ".".join(key_scope.split(".")[:2])
    if covers(platform, view.scope):
        return f"the budget {show_path(view.scope)}/{view.name}"
    return "a budget above your scope"
