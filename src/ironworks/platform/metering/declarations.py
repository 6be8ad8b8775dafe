"""What metering registers: the meters of the data plane, and the right to read usage."""

from ironworks.platform.metering import model
from ironworks.shared.declarations import Declarations, Meter, Permission, Topic

DECLARATIONS = Declarations(
    permissions=(
        Permission("usage:read", "See what was used, by whom and when"),
        Permission("usage:write", "Hand in usage that was measured elsewhere, which is then charged"),
    ),
    meters=(
        Meter(
            model.INPUT_TOKENS,
            "token",
            "sum",
            "Prompt tokens that had to be computed (cached ones are not among them, nor audio)",
        ),
        Meter(model.CACHED_INPUT_TOKENS, "token", "sum", "Prompt tokens that came from the prefix cache"),
        Meter(model.INPUT_AUDIO_TOKENS, "token", "sum", "Prompt tokens that stand for audio"),
        Meter(
            model.OUTPUT_TOKENS, "token", "sum", "Generated tokens (reasoning is not among them where told, nor audio)"
        ),
        Meter(
            model.REASONING_TOKENS, "token", "sum", "Generated tokens of reasoning, where the model tells them apart"
        ),
        Meter(model.OUTPUT_AUDIO_TOKENS, "token", "sum", "Generated tokens that stand for audio"),
        Meter(model.SPEECH_CHARACTERS, "character", "sum", "Characters of text that were spoken"),
        Meter(model.AUDIO_SECONDS, "second", "sum", "Seconds of audio that were transcribed, begun ones counted whole"),
        Meter(model.RERANK_DOCUMENTS, "document", "sum", "Documents that were put in order for a query"),
        Meter(model.IMAGES, "image", "sum", "Images that were generated"),
        Meter(model.CACHED_RESPONSES, "response", "sum", "Answers given again from the response cache"),
    ),
    topics=(Topic("usage", "usage:read", "Requests and other usage, as soon as they are charged; what was set aside"),),
)
