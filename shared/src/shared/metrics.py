"""Every metric of the platform. Labels have few values: never a user, a meeting or an organisation.

Names are Prometheus' (counters get ``_total`` there). HTTP's own (``http.server.request.duration``) are FastAPI's.
"""

from opentelemetry import metrics

_meter = metrics.get_meter("prospo.m365")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Bounds of the histograms; OpenTelemetry's own begin at five seconds."""

# Events ------------------------------------------------------------------------------------------------------------
events_published = _meter.create_counter("events_published")
"""Records acknowledged by Kafka, by ``topic``."""
events_handled = _meter.create_counter("events_handled")
"""Records whose outcome is durable, by ``topic`` and ``outcome``: handled, duplicate, parked."""
event_publishing_delay = _meter.create_histogram(
    "event_publishing_delay", unit="s", explicit_bucket_boundaries_advisory=_SECONDS
)
"""From an event's transaction to Kafka's acknowledgement, by ``topic``."""
event_handling_duration = _meter.create_histogram(
    "event_handling_duration", unit="s", explicit_bucket_boundaries_advisory=_SECONDS
)
"""From a record's turn in its lane to the commit of its effect, by ``topic``."""
outbox_pending = _meter.create_gauge("outbox_pending")
"""Committed events that Kafka has not acknowledged yet."""
outbox_oldest_age = _meter.create_gauge("outbox_oldest_age", unit="s")
"""Age of the oldest of them; the freshness of everything downstream."""
records_parked = _meter.create_gauge("records_parked")
"""Records that wait for someone to re-drive them; above zero is somebody's task."""
consumer_stopped = _meter.create_gauge("consumer_stopped")
"""1 while the service reads no events because it could not handle most of them; it goes on after a restart."""

# Jobs --------------------------------------------------------------------------------------------------------------
jobs_ended = _meter.create_counter("jobs_ended")
"""Tries of a job, by ``kind`` and ``outcome``: done, again, failed, lost."""
job_duration = _meter.create_histogram("job_duration", unit="s", explicit_bucket_boundaries_advisory=_SECONDS)
"""Length of one try, by ``kind``."""
jobs_due = _meter.create_gauge("jobs_due")
"""Jobs that could run now or are running, by ``kind``: the backlog that workers are scaled on."""
jobs_oldest_due = _meter.create_gauge("jobs_oldest_due", unit="s")
"""How long the job that is due for the longest has waited for a worker, by ``kind``; 0 where none waits."""
jobs_failed = _meter.create_gauge("jobs_failed")
"""Jobs that failed for good and wait for someone, by ``kind``."""
jobs_unknown = _meter.create_gauge("jobs_unknown")
"""Jobs of kinds that this version of the service does not do, after a roll-back for instance; nobody runs them."""

# Callers -----------------------------------------------------------------------------------------------------------
requests_refused = _meter.create_counter("requests_refused")
"""Refusals for who asks or how often (401, 403, 429), by the problem's ``code``."""
internal_calls = _meter.create_counter("internal_calls")
"""Calls of internal routes by services with a good token, by ``caller`` and ``outcome``: admitted, refused."""

# Microsoft ---------------------------------------------------------------------------------------------------------
graph_requests = _meter.create_counter("graph_requests")
"""Answers of Microsoft Graph, by ``method`` and ``status`` (0: no answer)."""
graph_request_duration = _meter.create_histogram(
    "graph_request_duration", unit="s", explicit_bucket_boundaries_advisory=_SECONDS
)
"""From a request to Microsoft Graph to the head of its answer, by ``method``; a request without an answer too."""
graph_throttled = _meter.create_counter("graph_throttled")
"""429 answers among them."""
graph_notifications = _meter.create_counter("graph_notifications")
"""Change notifications received, by ``outcome``: stored, unknown, hostile."""
graph_subscriptions = _meter.create_gauge("graph_subscriptions")
"""Subscriptions at Microsoft, by ``state``: lasting, ending (within half an hour, though they are renewed long before),
none (Microsoft has none, or it ended)."""
organisations = _meter.create_gauge("organisations")
"""Organisations by ``status`` of their connection."""
connections = _meter.create_gauge("connections")
"""People by ``status`` of their account's connection."""
readiness_verdicts = _meter.create_gauge("readiness_verdicts")
"""Organisations by ``capability`` and ``verdict`` of their readiness board."""
token_refreshes = _meter.create_counter("token_refreshes")
"""Refreshes of people's tokens at Microsoft Entra, by ``outcome``: refreshed, or the class of Microsoft's refusal."""
client_credential_left = _meter.create_gauge("client_credential_left", unit="s")
"""Until a credential of the application at Microsoft Entra expires, by ``credential``; replace it before zero."""
ingested_bytes = _meter.create_counter("ingested_bytes", unit="By")
"""Bytes of recordings moved from Microsoft to storage."""
