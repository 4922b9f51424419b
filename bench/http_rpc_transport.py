"""The transport that bench/http_rpc.py measures: a USSD gateway with four parameters."""

from __future__ import annotations

from typing import Any

from vumi.transports.httprpc import Answer, Fields, HttpRpcTransport

FIELDS = Fields("session", "msisdn", "code", "text")


class BenchUssdTransport(HttpRpcTransport):
    """Takes GET requests; whether the session goes on is told in a header."""

    transport_type = "ussd"
    content_type = "text/plain; charset=utf-8"

    def receive(self, incoming: Any) -> dict[str, Any]:
        values = incoming.values(FIELDS)
        return {
            "from_addr": values["msisdn"],
            "to_addr": values["code"],
            "content": values["text"],
            "session_event": "resume",
            "transport_metadata": {"bench": {"session": values["session"]}},
        }

    def make_answer(self, message: Any, held: Any) -> Answer:
        more = "0" if message["session_event"] == "close" else "1"
        return Answer(message["content"] or "", headers={"X-More": more})
