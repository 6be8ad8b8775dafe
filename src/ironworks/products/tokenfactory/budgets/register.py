"""The hard budgets that a process knows, and which of them a request must be paid from."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ironworks.products.tokenfactory.budgets.model import BudgetView
from ironworks.products.tokenfactory.budgets.slices import Account, Plan


class Register:
    """Accounts by what they are about. An account outlives changes of its budget's amount and fail mode."""

    def __init__(self) -> None:
        self._accounts: dict[UUID, Account] = {}
        self._by_scope: dict[str, list[Account]] = {}
        self._by_key: dict[UUID, list[Account]] = {}
        self._by_route: dict[UUID, list[Account]] = {}

    def replace(self, views: Iterable[BudgetView]) -> tuple[list[Account], list[Account]]:
        """Know exactly the hard ones of `views`; (those dropped, those whose amount is another now)."""
        before, self._accounts = self._accounts, {}
        changed = []
        for view in views:
            if not view.hard:
                continue
            account = before.get(view.uid)
            if account is None or account.gone or account.view.period != view.period:
                self._accounts[view.uid] = Account(view)
                continue
            del before[view.uid]
            self._accounts[view.uid] = account
            if account.view.amount_nano != view.amount_nano:
                changed.append(account)
            account.view = view
        self._index()
        return list(before.values()), changed

    def _index(self) -> None:
        self._by_scope, self._by_key, self._by_route = {}, {}, {}
        for account in self._accounts.values():
            view = account.view
            if view.key is not None:
                self._by_key.setdefault(view.key, []).append(account)
            elif view.route is not None:
                self._by_route.setdefault(view.route, []).append(account)
            else:
                self._by_scope.setdefault(view.scope, []).append(account)

    def plan(self, key_uid: UUID, key_scope: str, route_uid: UUID, route_scope: str) -> Plan | None:
        """All that apply to such calls, None where none does."""
        found = [*self._by_key.get(key_uid, ()), *self._by_route.get(route_uid, ())]
        place = key_scope
        while True:
            found += self._by_scope.get(place, ())
            if not place:
                break
            place = place.rpartition(".")[0]
        caller = (key_uid, key_scope, route_uid, route_scope)
        accounts = tuple([account for account in found if account.view.applies(*caller)])
        return Plan(accounts, key_scope) if accounts else None
