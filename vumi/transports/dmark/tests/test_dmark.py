"""Dmark's gateway. The cases are in ``cases/``."""

from __future__ import annotations

from typing import ClassVar

from vumi.tests.cases import TransportCases
from vumi.transports.dmark import DmarkUssdTransport


class DmarkTests(TransportCases):
    transport_class = DmarkUssdTransport
    config: ClassVar = {"web_path": "ussd"}
