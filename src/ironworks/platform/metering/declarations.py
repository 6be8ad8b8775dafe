"""What metering registers: the meters of the data plane, and the right to read usage."""

from ironworks.platform.metering.model import CACHED_INPUT_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from ironworks.shared.declarations import Declarations, Meter, Permission

DECLARATIONS = Declarations(
    permissions=(Permission("usage:read", "See what was used, by whom and when"),),
    meters=(
        Meter(INPUT_TOKENS, "token", "sum", "Prompt tokens that had to be computed (cached ones are not among them)"),
        Meter(CACHED_INPUT_TOKENS, "token", "sum", "Prompt tokens that came from the prefix cache"),
        Meter(OUTPUT_TOKENS, "token", "sum", "Generated tokens"),
    ),
)
