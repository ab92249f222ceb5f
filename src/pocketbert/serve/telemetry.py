"""Traces by OpenTelemetry, where they are asked for; where they go is told by its own variables (``OTEL_…``)."""

from fastapi import FastAPI

from pocketbert.errors import NotInstalled


def trace(app: FastAPI) -> None:
    """Trace the requests of an app.

    Raises:
        NotInstalled: the extra is not there.
    """
    try:
        from opentelemetry import trace as traces
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise NotInstalled(f"telemetry: {error.name} is not installed; pip install 'pocketbert[telemetry]'") from None
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    traces.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
