"""Metering: what was used, by whom and where, once.

Owns: meters of the data plane, usage events, the claims that make an event count once, and what was set aside.
Never: knows a price, moves money, or refuses a whole batch because of one event in it.
Invariants: an event id is claimed in the transaction of its effect and is recorded at most once; the same id with
other content is kept as a conflict; an event that breaks a rule (unknown meter, absurd quantity) is kept with the
reason; nothing that was handed in is lost; what is forgotten with its time is refused from then on.

Besides the usual files: `rules.py` says why an event cannot be counted, `ingest.py` reads what comes from outside,
`rollups.py` is the SQL of sums by hour and day, `readings.py` that of meters that are not added up.
"""

from ironworks.platform.metering.ingest import Ingested, Outcome
from ironworks.platform.metering.model import (
    AUDIO_SECONDS,
    CACHED_INPUT_TOKENS,
    CACHED_RESPONSES,
    GROUPS,
    IMAGES,
    INPUT_AUDIO_TOKENS,
    INPUT_TOKENS,
    MAX_QUANTITY,
    MAX_TEXT,
    METADATA,
    OUTPUT_AUDIO_TOKENS,
    OUTPUT_TOKENS,
    REASONING_TOKENS,
    RERANK_DOCUMENTS,
    SPEECH_CHARACTERS,
    Course,
    Every,
    GroupBy,
    GroupedEvent,
    MeterPoint,
    Reason,
    RecordedUsage,
    SetAside,
    UsageEvent,
    UsageTotal,
)
from ironworks.platform.metering.service import (
    find_usage,
    find_usages,
    ingest_usage,
    list_grouped,
    list_points,
    list_set_aside,
    list_usage,
    list_usage_at,
    next_span,
    record_usage,
    settle_readings,
    summarize_usage,
    take_uncharged,
)

__all__ = [
    "AUDIO_SECONDS",
    "CACHED_INPUT_TOKENS",
    "CACHED_RESPONSES",
    "GROUPS",
    "IMAGES",
    "INPUT_AUDIO_TOKENS",
    "INPUT_TOKENS",
    "MAX_QUANTITY",
    "MAX_TEXT",
    "METADATA",
    "OUTPUT_AUDIO_TOKENS",
    "OUTPUT_TOKENS",
    "REASONING_TOKENS",
    "RERANK_DOCUMENTS",
    "SPEECH_CHARACTERS",
    "Course",
    "Every",
    "GroupBy",
    "GroupedEvent",
    "Ingested",
    "MeterPoint",
    "Outcome",
    "Reason",
    "RecordedUsage",
    "SetAside",
    "UsageEvent",
    "UsageTotal",
    "find_usage",
    "find_usages",
    "ingest_usage",
    "list_grouped",
    "list_points",
    "list_set_aside",
    "list_usage",
    "list_usage_at",
    "next_span",
    "record_usage",
    "settle_readings",
    "summarize_usage",
    "take_uncharged",
]
