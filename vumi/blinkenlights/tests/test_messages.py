"""Metric messages of both forms, and heartbeats."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from vumi.blinkenlights.heartbeat import HeartBeatMessage
from vumi.blinkenlights.message20110707 import Message as OldMessage
from vumi.blinkenlights.message20110707 import MetricsMessage
from vumi.blinkenlights.message20110818 import MetricMessage
from vumi.errors import InvalidMessageField, MissingMessageField
from vumi.message import Message

DATAPOINT = ["campaign7.sent", ["sum"], [[1714979291, 1.0], [1714979292, 1.0]]]


def test_metrics_come_out_as_they_went_in() -> None:
    message = MetricMessage()
    message.append(DATAPOINT)
    message.extend([DATAPOINT])
    received = Message.from_json(message.to_json())
    again = MetricMessage.from_dict(received.payload)
    assert again.datapoints() == [DATAPOINT, DATAPOINT]
    assert again.to_dict() == {"datapoints": [DATAPOINT, DATAPOINT]}


@pytest.mark.parametrize("payload", [{}, {"datapoints": None}, {"datapoints": {}}])
def test_metrics_without_a_list_of_datapoints_are_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessageField):
        MetricMessage.from_dict(payload)


HEARTBEAT: dict[str, Any] = {
    "version": HeartBeatMessage.VERSION_20130319,
    "system_id": "prod",
    "worker_id": "prod:sms_app",
    "worker_name": "sms_app",
    "hostname": "node3",
    "pid": 4711,
    "timestamp": 1714979300.12,
}


def test_a_heartbeats_time_stays_a_number() -> None:
    message = HeartBeatMessage.from_json(HeartBeatMessage(**HEARTBEAT).to_json())
    assert message.payload == HEARTBEAT


@pytest.mark.parametrize("name", [name for name in HEARTBEAT if name != "timestamp"])
def test_a_heartbeat_lacks_nothing(name: str) -> None:
    fields = {key: value for key, value in HEARTBEAT.items() if key != name}
    with pytest.raises(MissingMessageField, match=name):
        HeartBeatMessage(**fields)


OLD = {
    "message_version": "20110707",
    "message_type": "metrics",
    "source_name": "collector",
    "source_id": "c1",
    "timestamp": [2011, 7, 7, 12, 0, 0],
    "payload": [{"name": "vumi.a", "count": 5, "time": 60, "host": "h1"}],
}


def test_the_old_form_is_read_and_written() -> None:
    message = MetricsMessage.from_dict(OLD)
    assert message.timestamp == datetime(2011, 7, 7, 12, 0, 0)
    assert message.metrics == {"vumi.a": [(5, 60, {"host": "h1"})]}
    assert message.to_dict() == OLD
    assert OldMessage.from_vumi_message(message.to_vumi_message()).to_dict() == OLD


@pytest.mark.parametrize(
    "change",
    [
        {"message_version": "20110818"},
        {"message_type": "other"},
        {"timestamp": []},
        {"timestamp": ["x"]},
        {"extra": 1},
    ],
)
def test_the_old_form_with_something_wrong_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        MetricsMessage.from_dict({**OLD, **change})
