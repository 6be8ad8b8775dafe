"""Master keys given as a value, from the environment by way of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TextMasterKeys:
    """A MasterKeySource. Lines may be separated by commas, since an environment value has but one line."""

    text: str = field(repr=False)

    async def read(self) -> str:
        return self.text.replace(",", "\n")
