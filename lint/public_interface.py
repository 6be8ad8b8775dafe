"""An import contract: a domain is a door, its modules are the rooms behind it.

Another domain imports the package (`from ironworks.platform import ledger`) and gets what its `__all__` offers, so a
module inside can be moved or rewritten without asking anyone. Set up in `pyproject.toml`.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class PublicInterface(Contract):
    """Only `exempt_importers` may import a module inside one of `domains` from outside of it."""

    type_name = "public_interface"

    domains = fields.SetField(subfield=fields.ModuleExpressionField())
    exempt_importers = fields.SetField(subfield=fields.ModuleField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        exempt = {module.name for module in self.exempt_importers or ()}
        broken = sorted(
            (importer, inner)
            for domain in self._domains(graph)
            for inner in graph.find_descendants(domain)
            for importer in graph.find_modules_that_directly_import(inner)
            if not any(_within(importer, allowed) for allowed in {domain, *exempt})
        )
        lines = {pair: _lines(graph, *pair) for pair in broken}
        return ContractCheck(kept=not broken, metadata={"broken": lines})

    def _domains(self, graph: ImportGraph) -> set[str]:
        """The packages that `domains` names; a plain module has nothing to hide."""
        found = {name for expression in self.domains for name in graph.find_matching_modules(expression.expression)}
        return {name for name in found if graph.find_children(name)}

    def render_broken_contract(self, check: ContractCheck) -> None:
        for (importer, inner), lines in check.metadata["broken"].items():
            domain = inner.rpartition(".")[0]
            output.print_error(
                f"{importer}:{lines} imports {inner}: import {domain} and use what it offers", bold=False
            )


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _lines(graph: ImportGraph, importer: str, imported: str) -> str:
    details = graph.get_import_details(importer=importer, imported=imported)
    return ",".join(str(detail["line_number"]) for detail in details)
