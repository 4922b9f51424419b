"""Connections to the simulated SMSC that never bind."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from vumi.transports.smpp.pdu import BindTransceiver, EnquireLink
from vumi.transports.smpp.simulator import Smsc, SmscScript
from vumi.transports.smpp.simulator.connection import BIND_TIMEOUT

BIND = BindTransceiver(sequence_number=1, system_id="me", password="pw").encode()


def connect(**script: Any) -> tuple[Clock, Any, StringTransport]:
    clock = Clock()
    smsc = Smsc(SmscScript(script, static=True), clock, first_id=1)
    protocol: Any = smsc.factory.buildProtocol(None)
    wire = StringTransport()
    protocol.makeConnection(wire)
    return clock, protocol, wire


@pytest.mark.parametrize(
    "sent", [b"", BIND[:3], BIND[:-1], EnquireLink(sequence_number=1).encode(), BIND[:16]]
)
def test_a_connection_that_never_binds_is_cut(sent: bytes) -> None:
    clock, protocol, wire = connect()
    # A byte now and then changes nothing.
    for start in range(len(sent)):
        protocol.dataReceived(sent[start : start + 1])
        clock.advance(BIND_TIMEOUT / 100)
    assert not wire.disconnecting
    clock.advance(BIND_TIMEOUT)
    assert wire.disconnecting
    protocol.connectionLost(Failure(ConnectionAborted()))
    assert clock.getDelayedCalls() == []


def test_one_whose_bind_was_refused_is_cut_in_the_end() -> None:
    clock, protocol, wire = connect(accounts={"you": "pw"})
    protocol.dataReceived(BIND)
    clock.pump([1.0] * int(3 * BIND_TIMEOUT))
    assert wire.disconnecting


def test_one_that_is_bound_stays() -> None:
    clock, protocol, wire = connect()
    protocol.dataReceived(BIND)
    clock.pump([1.0] * int(3 * BIND_TIMEOUT))
    assert not wire.disconnecting
