"""Traces: the texts of single requests and answers, where a tenant asked for them, for as long as it said.

Owns: the kind TracePolicy, the key that each policy's traces are sealed with, the traces, and their end.
Never: keeps a text in the clear outside of memory, shows one in a log or an event, or holds up a request for one.
Invariants:
  - without a policy that names the model, at the caller's scope or above it, no text is kept anywhere;
  - a text is sealed before it leaves the gateway; when its policy is switched off or deleted its key goes, and with it
    every copy of the text; a trace never outlives its retention by more than an hour;
  - reading one needs `endpoint:trace-read` where the caller of the model lives, and leaves an audit record.
Losing a trace is acceptable, so no trace may cost a request anything: memory is bounded, what does not fit is dropped.

Besides the usual files: `capture.py`, what a gateway process collects in memory until it is sealed.
"""

from ironworks.products.tokenfactory.traces.capture import Captures, Capturing, KeepTraces
from ironworks.products.tokenfactory.traces.declarations import DELETE, READ
from ironworks.products.tokenfactory.traces.model import TRACE_POLICY, Captured, PolicyView, TracePolicy
from ironworks.products.tokenfactory.traces.service import list_policies, save_traces

__all__ = [
    "DELETE",
    "READ",
    "TRACE_POLICY",
    "Captured",
    "Captures",
    "Capturing",
    "KeepTraces",
    "PolicyView",
    "TracePolicy",
    "list_policies",
    "save_traces",
]
