"""Messages by plain HTTP requests. The cases are in ``cases/``."""

from __future__ import annotations

from typing import Any, ClassVar

from vumi.errors import ConfigError
from vumi.tests.cases import TransportCases
from vumi.transports.api import HttpApiConfig, HttpApiTransport


class HttpApiTests(TransportCases):
    transport_class = HttpApiTransport
    config: ClassVar = {"web_path": "/send"}

    def test_fields_that_no_message_could_have_made_requests_hang(self) -> None:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"allowed_fields": ["content", "from_addr"]}, "to_addr"),
            ({"allowed_fields": []}, "to_addr and from_addr"),
            (
                {"allowed_fields": ["to_addr", "from_addr", "helper_metadata"]},
                "No parameter can set helper_metadata",
            ),
            (
                {"allowed_fields": ["to_addr", "from_addr", "message_id"], "reply_expected": True},
                "message_id can't be set",
            ),
        ]
        for config, words in cases:
            full: dict[str, Any] = {"transport_name": "api", **self.config, **config}
            with self.assertRaises(ConfigError) as caught:
                HttpApiConfig(full)
            self.assertIn(words, str(caught.exception))
