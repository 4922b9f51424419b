"""Airtel's gateway. The cases are in ``cases/``."""

from __future__ import annotations

from typing import ClassVar

from vumi.errors import ConfigError
from vumi.tests.cases import TransportCases
from vumi.transports.airtel import AirtelUSSDTransport, AirtelUSSDTransportConfig


class AirtelTests(TransportCases):
    transport_class = AirtelUSSDTransport
    config: ClassVar = {"web_path": "ussd"}

    def test_a_password_without_a_name_let_everybody_in(self) -> None:
        config = {"transport_name": "airtel", "web_path": "ussd", "airtel_password": "open"}
        with self.assertRaises(ConfigError) as caught:
            AirtelUSSDTransportConfig(config)
        self.assertIn("airtel_username", str(caught.exception))
