"""What a worker tells Prometheus: the figures of Temporal's SDK, and those that our workflows set."""

import logging

from temporalio.runtime import LogForwardingConfig, LoggingConfig, PrometheusConfig, Runtime, TelemetryConfig

from services.domain.errors import InvalidInputError
from services.settings import LogSettings, WorkerMetricsSettings


def open_runtime(metrics: WorkerMetricsSettings, logs: LogSettings) -> Runtime | None:
    """Give the runtime for the worker's client; it listens as long as the process lives. None is the SDK's own."""
    if metrics.worker_metrics is None and logs.log_format == "text":
        return None
    telemetry = TelemetryConfig(metrics=_told_at(metrics.worker_metrics), logging=_logging(logs))
    try:
        return Runtime(telemetry=telemetry)
    except (RuntimeError, ValueError):
        raise InvalidInputError("WORKER_METRICS", "an address of this machine, and a port that is free") from None


def _told_at(address: str | None) -> PrometheusConfig | None:
    if address is None:
        return None
    # Counters, units and seconds as Prometheus names them.
    return PrometheusConfig(address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True)


def _logging(logs: LogSettings) -> LoggingConfig:
    """Let what the SDK's core says go where everything goes, in the same form."""
    if logs.log_format == "text":
        return LoggingConfig.default
    forwarding = LogForwardingConfig(logging.getLogger("temporalio.core"), append_target_to_name=False)
    return LoggingConfig(filter=LoggingConfig.default.filter, forwarding=forwarding)
