"""Apposit's gateway. The cases are in ``cases/``."""

from __future__ import annotations

from typing import Any, ClassVar

from vumi.errors import ConfigError
from vumi.tests.cases import TransportCases
from vumi.transports.apposit import AppositTransport, AppositTransportConfig


class AppositTests(TransportCases):
    transport_class = AppositTransport
    config: ClassVar = {
        "web_path": "/sms",
        "outbound_url": "http://apposit.example/send",
        # As YAML reads it: a number.
        "credentials": {
            8123: {"username": "root", "password": "toor-77f0", "service_id": "svc-9"}
        },
    }

    def test_incomplete_credentials_were_found_by_the_first_message(self) -> None:
        for login in ({"username": "root"}, "root"):
            config: dict[str, Any] = {
                "transport_name": "apposit",
                **self.config,
                "credentials": {"8123": login},
            }
            with self.assertRaises(ConfigError) as caught:
                AppositTransportConfig(config)
            self.assertIn("credentials of 8123", str(caught.exception))
