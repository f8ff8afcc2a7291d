"""Traces that cross the bus: the request's context travels in the event, and the batch that applies it links back."""

import contextlib
from collections.abc import Iterable
from typing import Any, Final

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

CARRIED: Final = frozenset(name.encode() for name in propagate.get_global_textmap().fields)

_tracer = trace.get_tracer("gelombang")


def configure(service: str, endpoint: str | None) -> None:
    """Send spans to an OTLP endpoint; without one, tracing costs next to nothing."""
    if endpoint:
        provider = TracerProvider(resource=Resource.create({"service.name": f"gelombang-{service}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        trace.set_tracer_provider(provider)


def request(name: str, headers: Iterable[tuple[bytes, bytes]]) -> contextlib.AbstractContextManager[Any]:
    """The span of a request, in the trace that its headers name; nothing where neither we nor the caller trace."""
    told = {key.decode(): value.decode("latin-1") for key, value in headers if key in CARRIED}
    if not told and not isinstance(trace.get_tracer_provider(), TracerProvider):
        return contextlib.nullcontext()
    return _tracer.start_as_current_span(name, propagate.extract(told), trace.SpanKind.SERVER)
