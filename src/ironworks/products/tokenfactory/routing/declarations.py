"""What this domain registers besides what its kinds do by themselves, and the rights of others that it asks for."""

from __future__ import annotations

from typing import Final

from ironworks.shared.declarations import Declarations, Permission

TEST: Final = "external-endpoint:test"
INVOKE: Final = "endpoint:invoke"
"""Declared by whoever runs endpoints: to call models at a scope."""
PRICE: Final = "price:create"
"""Declared by pricing: to keep the price book."""

DECLARATIONS = Declarations(permissions=(Permission(TEST, "Check that an external endpoint can be reached"),))
