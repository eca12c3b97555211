"""What `/metrics` tells Prometheus: requests, times, sound, and how the engine does. Nothing of what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emobridge.serve.records import EngineState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HISTOGRAM_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # the upper bounds of the histogram
GAUGES = {  # field of EngineState: what it is
    "workers": "Worker processes that are wanted.",
    "ready": "Worker processes that can take a job.",
    "running": "Jobs under way.",
    "waiting": "Jobs that wait for a worker.",
    "streams": "Live streams that are open.",
}


class Metrics:
    """The counters of one service, in a registry of its own."""

    def __init__(self, state: Callable[[], EngineState]) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._requests = Counter(
            "emobridge_requests", "Requests that were answered.", ["route", "status"], registry=registry
        )
        self._answers = Histogram(
            "emobridge_answer_seconds",
            "Seconds from the end of an upload to its answer.",
            ["route"],
            buckets=HISTOGRAM_BOUNDS,
            registry=registry,
        )
        self._sound = Counter(
            "emobridge_sound_seconds", "Seconds of sound that were answered.", ["route"], registry=registry
        )
        registry.register(_EngineCollector(state))

    def count_request(self, route: str, status: int) -> None:
        """Count an answer. route: of those of the application; any other address is one route."""
        self._requests.labels(route, str(status)).inc()

    def observe_answer(self, route: str, seconds: float, sound: float) -> None:
        """Note how long an answer took, and how many seconds of sound it is about."""
        self._answers.labels(route).observe(seconds)
        self.count_sound(route, sound)

    def count_sound(self, route: str, sound: float) -> None:
        """Count seconds of sound."""
        self._sound.labels(route).inc(sound)

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    """The state of the engine, read when it is asked for."""

    def __init__(self, state: Callable[[], EngineState]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state = self._state()
        for name, what in GAUGES.items():
            yield GaugeMetricFamily(f"emobridge_{name}", what, value=getattr(state, name))
        yield CounterMetricFamily("emobridge_restarts", "Workers that were started again.", value=state.restarts)
