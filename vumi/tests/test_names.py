"""Names that programs import from where they have always been are the ones that live elsewhere."""

from __future__ import annotations

from importlib import import_module

import pytest

#: the name -> where programs import it from -> where it lives
FACADES = [
    ("Consumer", "vumi.service", "vumi.consumers"),
    ("DynamicConsumer", "vumi.service", "vumi.consumers"),
    ("Publisher", "vumi.service", "vumi.publishers"),
    ("DynamicPublisher", "vumi.service", "vumi.publishers"),
    ("RoutingKeyError", "vumi.service", "vumi.errors"),
    ("ConfigError", "vumi.config", "vumi.errors"),
    ("MissingMessageField", "vumi.message", "vumi.errors"),
    ("InvalidMessageField", "vumi.message", "vumi.errors"),
    ("format_vumi_date", "vumi.message", "vumi.payload"),
    ("from_json", "vumi.message", "vumi.payload"),
    ("to_json", "vumi.message", "vumi.payload"),
    ("ApplicationWorker", "vumi.application", "vumi.application.base"),
    ("Transport", "vumi.transports", "vumi.transports.base"),
    ("FailureWorker", "vumi.transports", "vumi.transports.retries"),
    ("FailureWorker", "vumi.transports.failures", "vumi.transports.retries"),
    ("MiddlewareStack", "vumi.middleware", "vumi.middleware.base"),
    ("HeartBeatMessage", "vumi.blinkenlights.heartbeat", "vumi.blinkenlights.heartbeat.publisher"),
]


@pytest.mark.parametrize(("name", "facade", "home"), FACADES)
def test_both_are_the_same(name: str, facade: str, home: str) -> None:
    offered = import_module(facade)
    assert getattr(offered, name) is getattr(import_module(home), name)
    assert name in offered.__all__
