"""Traces that cross the bus: the request's context travels in the event, and the batch that applies it links back."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def configure(service: str, endpoint: str | None) -> None:
    """Send spans to an OTLP endpoint; without one, tracing costs next to nothing."""
    if endpoint:
        provider = TracerProvider(resource=Resource.create({"service.name": f"gelombang-{service}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        trace.set_tracer_provider(provider)
