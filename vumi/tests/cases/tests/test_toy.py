"""The toy transport passes its cases, and all that is checked without being asked for."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from vumi.tests.cases import TransportCases
from vumi.tests.cases.tests.toys import ToyTransport


class ToyTests(TransportCases):
    tables = Path(__file__).parent / "cases"
    transport_class = ToyTransport
    config: ClassVar = {
        "web_path": "toy",
        "api_url": "https://api.example/send",
        "api_key": "key-5417",
    }
