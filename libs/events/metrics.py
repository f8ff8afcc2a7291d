"""Every metric name of the event path and the runtime, in one place. Labels never carry anything about a person."""

import functools

from prometheus_client import Counter, Gauge, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

relay_sent = Counter("gelombang_relay_sent", "Events acknowledged by Kafka", ["topic"])
relay_batch_seconds = Histogram(
    "gelombang_relay_batch_seconds",
    "From reading a batch until Kafka has acknowledged it",
    buckets=SECONDS,
)
relay_owner = Gauge("gelombang_relay_owner", "1 while this process owns the relay of its service")

consumer_applied = Counter("gelombang_consumer_applied", "Events applied", ["topic"])
consumer_repeats = Counter(
    "gelombang_consumer_repeats",
    "Events skipped because their number was already applied",
    ["topic"],
)
consumer_gap = Gauge(
    "gelombang_consumer_gap",
    "First missing number of a lane that waits, 0 when none",
    ["topic", "lane"],
)
consumer_batch_seconds = Histogram(
    "gelombang_consumer_batch_seconds",
    "One batch, from first lock to commit",
    buckets=SECONDS,
)
consumer_parked = Counter("gelombang_consumer_parked", "Records parked", ["topic", "reason"])

job_runs = Counter("gelombang_job_runs", "Runs of a job that did something", ["job"])
job_failures = Counter(
    "gelombang_job_failures",
    "Runs of a job that failed and will be tried again",
    ["job"],
)

http_requests = Counter(
    "gelombang_http_requests",
    "Answers by route and status",
    ["method", "route", "status"],
)
http_seconds = Histogram(
    "gelombang_http_seconds",
    "From the first byte of the request to the answer",
    ["route"],
    buckets=SECONDS,
)


@functools.cache
def http_route(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """What counts and times the answers of a route. A method that HTTP does not know may be all a stranger types."""
    known = method if method in METHODS else "other"
    return http_requests.labels(known, route, str(status)), http_seconds.labels(route)
