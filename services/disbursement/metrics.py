"""Every metric name of this service's own, beside those of the event path (`libs/events/metrics.py`)."""

from prometheus_client import Gauge

sending_holds = Gauge(
    "gelombang_disbursement_sending_holds",
    "Contradictions that stop all sending and wait for a person, as the job that sends last saw them",
)
