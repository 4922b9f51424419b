"""An HTTP-RPC transport holds each request until its answer is there, and says the truth of it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from vumi.errors import ConfigError, StoreUnavailable
from vumi.tests.utils import LogCatcher
from vumi.transports.httprpc import Answer, Fields, HttpRpcTransport, Refused
from vumi.transports.httprpc.server import HttpServer
from vumi.transports.httprpc.tests.clients import Client, EchoTransport, HttpTestCase
from vumi.transports.tests.helpers import TransportHelper

NO_REQUEST = "Could not find original request."


class RepliesTests(HttpTestCase):
    async def test_a_request_is_answered_with_the_reply_to_its_message(self) -> None:
        transport = await self.start()
        client = self.ask("hi", network="mtn")
        message = await self.only_message()
        fields = ("from_addr", "to_addr", "content", "session_event", "provider")
        self.assertEqual(
            [message[name] for name in fields], ["+27831", "*120#", "hi", "resume", "mtn"]
        )
        self.assertEqual(message["transport_type"], "ussd")
        self.assertEqual(message["transport_metadata"], {})
        assert not client.is_answered
        reply = await self.reply(message, "héllo")
        response = client.response
        self.assertEqual((response.code, response.body), (200, "héllo".encode()))
        self.assertEqual(response.headers["Content-Type"], "text/plain")
        self.assertEqual(response.headers["Content-Length"], "6")
        [ack] = self.helper.get_dispatched_events()
        self.assertEqual(ack["event_type"], "ack")
        self.assertEqual(ack["user_message_id"], reply["message_id"])
        self.assertEqual(ack["sent_message_id"], reply["message_id"])
        self.assertEqual(json.loads(transport.get_health_response()), {"pending_requests": 0})

    async def test_the_next_request_may_come_on_the_same_connection(self) -> None:
        await self.start()
        client = self.ask("one")
        await self.reply(await self.only_message(), "1")
        self.assertEqual(client.response.body, b"1")
        client.send("/ussd?from=1&to=2&text=two")
        [_, second] = await self.helper.wait_for_dispatched_inbound(2)
        await self.reply(second, "2")
        self.assertEqual(client.response.body, b"2")

    async def test_a_reply_to_nothing_is_nacked(self) -> None:
        await self.start()
        await self.helper.make_dispatch_outbound("hi")
        await self.helper.make_dispatch_outbound(None, in_reply_to=None)
        await self.helper.make_dispatch_outbound(None, in_reply_to="x" * 32)
        self.assertEqual(
            self.events(),
            [
                ("nack", "Missing fields: in_reply_to"),
                ("nack", "Missing fields: in_reply_to, content"),
                ("nack", "Missing fields: content"),
            ],
        )

    async def test_a_session_can_be_closed_without_a_text(self) -> None:
        # The old Vumi nacked it, and the request hung until its time was over.
        await self.start()
        for number, content in enumerate([None, ""], 1):
            client = self.ask()
            message = (await self.helper.wait_for_dispatched_inbound(number))[-1]
            await self.reply(message, content, continue_session=False)
            self.assertEqual((client.response.code, client.response.body), (200, b""))
        self.assertEqual(self.events(), [("ack", None)] * 2)

    async def test_only_one_of_two_replies_is_acked(self) -> None:
        # The old Vumi acked the second one too.
        await self.start()
        client = self.ask()
        message = await self.only_message()
        await self.reply(message, "one")
        await self.reply(message, "two")
        self.assertEqual(client.response.body, b"one")
        self.assertEqual(self.events(), [("ack", None), ("nack", NO_REQUEST)])

    async def test_a_client_that_hangs_up_is_forgotten_and_its_reply_nacked(self) -> None:
        transport = await self.start()
        client = self.ask()
        message = await self.only_message()
        with LogCatcher() as log:
            client.hang_up()
        assert "has hung up" in "".join(log.messages())
        self.assertEqual(json.loads(transport.get_health_response()), {"pending_requests": 0})
        await self.reply(message)
        self.assertEqual(self.events(), [("nack", NO_REQUEST)])
        self.assertEqual(self.helper.get_dispatched_failures(), [])

    async def test_an_answer_may_have_headers_and_a_status(self) -> None:
        class Fancy(EchoTransport):
            content_type = "application/json"

            def make_answer(self, message: Any, held: Any) -> Answer:
                headers = {"X-More": "1", "X-Many": ["a", "b"], "Content-Type": "text/x"}
                return Answer.json({"text": message["content"]}, 201, headers)

        await self.start(Fancy)
        client = self.ask()
        await self.reply(await self.only_message(), "yo")
        response = client.response
        self.assertEqual((response.code, json.loads(response.body)), (201, {"text": "yo"}))
        self.assertEqual(response.headers.get_all("X-Many"), ["a", "b"])
        self.assertEqual(response.headers.get_all("Content-Type"), ["text/x"])

    async def test_an_answer_may_take_its_time(self) -> None:
        looked_up: Deferred[str] = Deferred()

        class Slow(EchoTransport):
            async def make_answer(self, message: Any, held: Any) -> Answer:
                return Answer(await looked_up)

        await self.start(Slow)
        client = self.ask()
        message = await self.only_message()
        replied = self.helper.make_dispatch_reply(message, "x")
        assert not client.is_answered
        looked_up.callback("found")
        await replied
        self.assertEqual(client.response.body, b"found")
        self.assertEqual(self.events(), [("ack", None)])

    async def test_a_client_that_hangs_up_while_its_answer_is_made_gets_no_ack(self) -> None:
        looked_up: Deferred[str] = Deferred()

        class Slow(EchoTransport):
            async def make_answer(self, message: Any, held: Any) -> Answer:
                return Answer(await looked_up)

        await self.start(Slow)
        client = self.ask()
        replied = self.helper.make_dispatch_reply(await self.only_message(), "x")
        await self.helper.wait_for_dispatched_outbound(1)
        client.hang_up()
        looked_up.callback("found")
        await replied
        self.assertEqual(self.events(), [("nack", NO_REQUEST)])

    async def test_a_reply_whose_store_is_away_is_neither_nacked_nor_lost(self) -> None:
        problems = [StoreUnavailable("Redis is away.")]

        class Closing(EchoTransport):
            async def make_answer(self, message: Any, held: Any) -> Answer:
                if problems:
                    raise problems.pop()
                return Answer("bye")

        await self.start(Closing)
        client = self.ask()
        await self.helper.make_dispatch_reply(await self.only_message(), "x")
        self.assertEqual(client.response.body, b"bye")
        self.assertEqual(self.events(), [("ack", None)])
        self.assertEqual(self.helper.get_dispatched_failures(), [])

    async def test_an_answer_that_can_not_be_made_is_nacked_and_the_request_waits(self) -> None:
        class Broken(EchoTransport):
            def make_answer(self, message: Any, held: Any) -> Answer:
                raise ValueError("no such menu")

        await self.start(Broken)
        client = self.ask()
        await self.reply(await self.only_message())
        self.assertEqual(self.events(), [("nack", "no such menu")])
        [failure] = self.helper.get_dispatched_failures()
        assert "no such menu" in failure["reason"]
        assert not client.is_answered
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class RefusedRequestsTests(HttpTestCase):
    def errors_of(self, client: Client) -> tuple[int, Any]:
        return client.response.code, json.loads(client.response.body)

    async def test_missing_and_unexpected_parameters_are_answered_at_once(self) -> None:
        await self.start()
        client = self.client().send("/ussd?text=hi&from=1&surprise=x")
        self.assertEqual(
            self.errors_of(client),
            (400, {"unexpected_parameter": ["surprise"], "missing_parameter": ["to"]}),
        )
        self.assertEqual(self.helper.get_dispatched_inbound(), [])

    async def test_a_blank_value_is_there_and_a_blank_name_is_unexpected(self) -> None:
        await self.start()
        client = self.client().send("/ussd?from=1&to=&text=&=nameless")
        self.assertEqual(self.errors_of(client), (400, {"unexpected_parameter": [""]}))
        self.client().send("/ussd?from=1&to=&text=")
        message = await self.only_message()
        self.assertEqual((message["to_addr"], message["content"]), ("", ""))

    async def test_the_first_of_several_values_counts(self) -> None:
        await self.start()
        self.client().send("/ussd?from=1&to=2&text=a&text=b")
        self.assertEqual((await self.only_message())["content"], "a")

    async def test_a_form_in_the_body_is_read_too(self) -> None:
        await self.start()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self.client().send("/ussd?from=1", "POST", b"to=2&text=h%C3%A9", form)
        message = await self.only_message()
        self.assertEqual((message["to_addr"], message["content"]), ("2", "hé"))

    async def test_a_parameter_that_is_no_utf8_costs_no_message(self) -> None:
        # The old Vumi's handler raised, and the request hung for four minutes.
        await self.start()
        self.client().send("/ussd?from=1&to=2&text=caf%FF")
        self.assertEqual((await self.only_message())["content"], "caf\ufffd")

    async def test_permissive_drops_what_is_unexpected_and_tells_each_name_once(self) -> None:
        await self.start(validation_mode="permissive")
        with LogCatcher() as log:
            for number in range(1, 3):
                self.ask(surprise="%FF", **{"": "nameless"})
                await self.helper.wait_for_dispatched_inbound(number)
        told = [line for line in log.messages() if "dropped" in line]
        self.assertEqual([line.rpartition(" ")[2] for line in told], ["'surprise'", "''"])

    async def test_permissive_still_wants_what_is_needed(self) -> None:
        await self.start(validation_mode="permissive")
        client = self.client().send("/ussd?from=1&to=2&other=3")
        self.assertEqual(self.errors_of(client), (400, {"missing_parameter": ["text"]}))

    async def test_a_handler_that_fails_answers_500_at_once_and_is_logged(self) -> None:
        # The old Vumi left the request hanging.
        class Sync(EchoTransport):
            def receive(self, incoming: Any) -> Any:
                raise KeyError("in the code")

        class Async(EchoTransport):
            async def receive(self, incoming: Any) -> Any:
                raise KeyError("in the code")

        class Unpublishable(EchoTransport):
            def receive(self, incoming: Any) -> Any:
                return {"from_addr": "1", "to_addr": "2", "session_event": "sideways"}

        for transport_class in (Sync, Async, Unpublishable):
            await self.start(transport_class)
            client = self.ask()
            self.assertEqual(client.response.code, 500)
            assert b"in the code" not in client.response.body
            self.assertEqual(len(self.flushLoggedErrors()), 1)
            health = json.loads(self.transport.get_health_response())
            self.assertEqual(health, {"pending_requests": 0})

    async def test_no_secret_gets_into_the_log_with_an_error(self) -> None:
        class Leaky(EchoTransport):
            def receive(self, incoming: Any) -> Any:
                raise ValueError(f"wrong: {incoming.get('from')}")

        await self.start(Leaky, web_username="u", web_password="sesame-open")
        with LogCatcher() as log:
            authorization = {"Authorization": "Basic dTpzZXNhbWUtb3Blbg=="}
            client = self.client().send("/ussd?from=sesame-open", headers=authorization)
        self.assertEqual(client.response.code, 500)
        assert "sesame-open" not in str(log.logs)
        assert "wrong: ****" in "".join(log.messages())

    async def test_a_hook_can_refuse_a_request_in_its_own_words(self) -> None:
        class Picky(EchoTransport):
            async def receive(self, incoming: Any) -> Any:
                raise Refused("Forbidden", 403, {"X-Why": "because"})

        await self.start(Picky)
        response = self.ask().response
        self.assertEqual((response.code, response.body), (403, b"Forbidden"))
        self.assertEqual(response.headers["X-Why"], "because")

    async def test_a_hook_can_answer_without_a_message(self) -> None:
        class Quick(EchoTransport):
            def receive(self, incoming: Any) -> Any:
                return Answer("pong")

        await self.start(Quick)
        self.assertEqual(self.ask().response.body, b"pong")
        self.assertEqual(self.helper.get_dispatched_inbound(), [])

    async def test_a_hook_can_publish_by_itself_and_answer_then(self) -> None:
        class Closing(EchoTransport):
            async def receive(self, incoming: Any) -> Any:
                await self.publish_message(
                    from_addr="1",
                    to_addr="2",
                    content=None,
                    session_event="close",
                    transport_type="ussd",
                )
                return Answer()

        await self.start(Closing)
        self.assertEqual(self.ask().response.code, 200)
        self.assertEqual((await self.only_message())["session_event"], "close")

    async def test_a_hook_can_answer_later_by_the_requests_id(self) -> None:
        ids = []

        class ByHand(EchoTransport):
            def receive(self, incoming: Any) -> Any:
                ids.append(incoming.id)

        transport = await self.start(ByHand)
        client = self.ask()
        assert not client.is_answered
        name = transport.finish_request(ids[0], "done", 202, {"X-A": ["1"]})
        self.assertRegex(name, r"^192\.168\.1\.1:54321:[0-9a-f]{32}$")
        self.assertEqual((client.response.code, client.response.body), (202, b"done"))
        self.assertIdentical(transport.finish_request(ids[0], "again"), None)


class BodiesTests(HttpTestCase):
    """What hooks read of requests that are no forms."""

    async def received(self, body: bytes, headers: dict[str, str] | None = None) -> Client:
        class Reading(HttpRpcTransport):
            def receive(self, incoming: Any) -> Any:
                data = incoming.json_object()
                return Answer.json([data, incoming.method, incoming.suffix, incoming.text])

        await self.start(Reading)
        return self.client().send("/ussd/a//b%2Fc", "PUT", body, headers)

    async def test_json_is_read_whatever_its_content_type(self) -> None:
        body = '{"a": "hé", "n": 36893488147419103232}'
        client = await self.received(body.encode(), {"Content-Type": "text/plain"})
        self.assertEqual(
            json.loads(client.response.body),
            [{"a": "hé", "n": 2**65}, "PUT", ["a", "b/c"], body],
        )

    async def test_what_is_no_json_object_is_answered_at_once(self) -> None:
        for body in [b"", b"[1]", b"{", b'{"a": NaN}', b"\xff", b"[" * 100_000]:
            client = await self.received(body)
            self.assertEqual(client.response.code, 400, body[:20])
            self.assertEqual(json.loads(client.response.body), {"invalid_json": ["body"]})

    async def test_parameters_can_be_read_one_by_one(self) -> None:
        class Reading(HttpRpcTransport):
            def receive(self, incoming: Any) -> Any:
                return Answer.json(
                    [
                        "a" in incoming,
                        "b" in incoming,
                        incoming.get("a"),
                        incoming.get("b", "none"),
                        incoming.header("x-h"),
                        incoming.header("x-i", "-"),
                    ]
                )

        await self.start(Reading)
        client = self.client().send("/ussd?a=1", headers={"X-H": "h"})
        self.assertEqual(json.loads(client.response.body), [True, False, "1", "none", "h", "-"])
        client = self.client().send("/ussd?a=%ff")
        self.assertEqual(json.loads(client.response.body)[2], "\ufffd")


class LateRequestsTests(HttpTestCase):
    async def test_a_request_that_waits_too_long_is_answered_and_its_reply_nacked(self) -> None:
        await self.start(
            request_timeout=10,
            request_timeout_status_code=418,
            request_timeout_body="too late",
            request_cleanup_interval=3,
        )
        client = self.ask()
        message = await self.only_message()
        self.clock.pump([3, 3, 3])
        assert not client.is_answered
        with LogCatcher() as log:
            self.clock.advance(3)
        self.assertEqual((client.response.code, client.response.body), (418, b"too late"))
        assert "Timing out *120#" in "".join(log.messages())
        await self.reply(message)
        self.assertEqual(self.events(), [("nack", NO_REQUEST)])

    async def test_a_cleanup_interval_of_0_is_off(self) -> None:
        # The old Vumi made a busy loop of it.
        await self.start(request_timeout=1, request_cleanup_interval=0)
        client = self.ask()
        await self.only_message()
        self.clock.advance(1_000)
        assert not client.is_answered

    async def test_times_of_answers_are_told(self) -> None:
        seen = []

        class Watching(EchoTransport):
            def on_timeout(self, message_id: str, time: float) -> None:
                seen.append(("timeout", time))

            def on_good_response_time(self, message_id: str, time: float) -> None:
                seen.append(("good", time))

            def on_degraded_response_time(self, message_id: str, time: float) -> None:
                seen.append(("degraded", time))

            def on_down_response_time(self, message_id: str, time: float) -> None:
                seen.append(("down", time))

        await self.start(
            Watching,
            response_time_down=5,
            response_time_degraded=1,
            request_timeout=10,
            request_cleanup_interval=20,
        )
        for number, seconds in enumerate([1, 3, 6], 1):
            self.ask()
            message = (await self.helper.wait_for_dispatched_inbound(number))[-1]
            self.clock.advance(seconds)
            await self.reply(message)
        self.assertEqual(seen, [("good", 1), ("degraded", 3), ("down", 6)])
        del seen[:]
        self.ask()
        self.clock.advance(40)
        self.assertEqual([kind for kind, _ in seen], ["timeout", "down"])


class StatusesTests(HttpTestCase):
    def statuses(self) -> list[tuple[str, str, str]]:
        return [
            (status["component"], status["status"], status["type"])
            for status in self.helper.get_dispatched_statuses()
        ]

    async def test_both_sides_are_told_when_they_change(self) -> None:
        await self.start(publish_status=True, response_time_degraded=1, response_time_down=5)
        for number, seconds in enumerate([0, 0, 2, 6, 0], 1):
            self.ask()
            message = (await self.helper.wait_for_dispatched_inbound(number))[-1]
            self.clock.advance(seconds)
            await self.reply(message)
        self.assertEqual(
            self.statuses(),
            [
                ("request", "ok", "request_parsed"),
                ("response", "ok", "response_sent"),
                ("response", "degraded", "slow_response"),
                ("response", "down", "very_slow_response"),
                ("response", "ok", "response_sent"),
            ],
        )
        slow = self.helper.get_dispatched_statuses()[2]
        self.assertEqual(slow["details"], {"response_time": 2.0})
        self.assertEqual(slow["reasons"], ["Response took longer than 1.000000s"])

    async def test_requests_that_make_no_sense_are_told_and_their_answers_are_not(self) -> None:
        await self.start(publish_status=True)
        self.client().send("/ussd")
        self.client().send("/ussd?from=1&to=1&text=2&colour=red")
        self.ask()
        await self.helper.kick_delivery()
        self.assertEqual(
            self.statuses(),
            [
                ("request", "down", "invalid_inbound_fields"),
                ("request", "ok", "request_parsed"),
            ],
        )
        [first, *_] = self.helper.get_dispatched_statuses()
        self.assertEqual(first["message"], "Invalid inbound fields")
        self.assertEqual(first["details"], {"missing_parameter": ["from", "to", "text"]})

    async def test_a_request_that_times_out_is_told(self) -> None:
        await self.start(publish_status=True, request_timeout=10)
        self.ask()
        self.clock.pump([5, 5, 5])
        await self.helper.kick_delivery()
        self.assertEqual(self.statuses()[1:], [("response", "down", "timeout")])


class BoundsTests(HttpTestCase):
    async def test_no_more_requests_are_held_than_may_be(self) -> None:
        await self.start(max_held_requests=2)
        first, _second, third = self.ask(), self.ask(), self.ask()
        self.assertEqual(third.response.code, 503)
        self.assertEqual(third.response.headers["Retry-After"], "5")
        message = (await self.helper.wait_for_dispatched_inbound(2))[0]
        await self.reply(message)
        self.assertEqual(first.response.code, 200)
        assert not self.ask().is_answered

    async def test_nothing_is_taken_while_the_broker_is_away(self) -> None:
        transport = await self.start(publish_status=True)
        transport.broker.connected = False
        with LogCatcher() as log:
            for _ in range(3):
                self.assertEqual(self.ask().response.code, 503)
            self.assertEqual(self.client().send("/health").response.code, 200)
            transport.broker.connected = True
            assert not self.ask().is_answered
        told = [line for line in log.messages() if "Requests are" in line]
        self.assertEqual(
            told,
            [
                "Requests are answered 503: the message broker is not connected",
                "Requests are taken again",
            ],
        )
        await self.helper.kick_delivery()
        [down, up] = self.helper.get_dispatched_statuses()
        self.assertEqual((down["type"], up["type"]), ("overloaded", "request_parsed"))

    async def test_bodies_and_headers_are_bounded(self) -> None:
        await self.start(max_body_bytes=100, max_headers=5)
        client = self.client().send("/ussd", "POST", b"x" * 101)
        self.assertEqual(client.response.code, 413)
        headers = {f"X-{number}": "1" for number in range(9)}
        self.assertEqual(self.client().send("/ussd", headers=headers).response.code, 431)


class LifeTests(HttpTestCase):
    async def test_requests_that_wait_are_answered_when_the_transport_stops(self) -> None:
        transport = await self.start()
        client = self.ask()
        await transport.stopWorker()
        self.assertEqual(client.response.code, 503)
        assert client.wire.disconnecting
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIdentical(transport.web_site, None)

    async def test_nothing_is_left_of_a_transport_that_can_not_listen(self) -> None:
        seen = []

        class Provider(EchoTransport):
            def teardown_provider(self) -> None:
                seen.append("torn down")

        class Endpoint:
            def listen(self, factory: Any) -> Any:
                raise OSError("in use")

        helper: Any = self.add_helper(TransportHelper(Provider))
        transport = await helper.get_transport({"web_path": "/ussd"}, start=False)
        transport.clock = self.clock
        self.patch(HttpServer, "listen", lambda server, config: Endpoint().listen(server.site))
        with self.assertRaises(OSError):
            await transport.startWorker()
        self.assertEqual(seen, ["torn down"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_it_can_be_started_again(self) -> None:
        transport = await self.start()
        await transport.stopWorker()
        await transport.startWorker()
        client = self.ask()
        await self.reply(await self.only_message())
        self.assertEqual(client.response.code, 200)

    async def test_a_service_that_stops_gives_those_that_wait_some_time(self) -> None:
        transport = await self.start()
        transport._runs_as_service = True
        client = self.ask()
        message = await self.only_message()
        stopping = transport.stopWorker()
        late = self.ask()
        self.assertEqual(late.response.code, 503)
        await self.reply(message, "just in time")
        await stopping
        self.assertEqual(client.response.body, b"just in time")

    async def test_that_time_is_bounded(self) -> None:
        transport = await self.start(drain_timeout=6)
        transport._runs_as_service = True
        client = self.ask()
        stopping = transport.stopWorker()
        self.clock.advance(3)
        await stopping
        self.assertEqual(client.response.code, 503)

    async def test_providers_are_set_up_before_and_torn_down_after_all_else(self) -> None:
        seen: list[Any] = []

        class Provider(EchoTransport):
            async def setup_provider(self) -> None:
                seen.append(self.web_site)

            def teardown_provider(self) -> None:
                seen.append(self.web_site)

        transport = await self.start(Provider)
        await transport.stopWorker()
        self.assertEqual(seen, [None, None])

    async def test_hooks_can_have_paths_of_their_own(self) -> None:
        class TwoPaths(EchoTransport):
            def get_resources(self) -> Any:
                return [*super().get_resources(), (self.serve(self.receipt), "/receipts")]

            def receipt(self, incoming: Any) -> Any:
                return Answer(f"receipt {incoming.values(Fields('id'))['id']}")

        await self.start(TwoPaths, web_username="u", web_password="p")
        self.assertEqual(self.client().send("/receipts?id=1").response.code, 401)
        client = self.client().send("/receipts?id=1", headers={"Authorization": "Basic dTpw"})
        self.assertEqual(client.response.body, b"receipt 1")

    def test_a_config_that_makes_no_sense_is_refused(self) -> None:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"web_path": None}, "web_path"),
            ({"web_username": "u"}, "both must be specified"),
            ({"web_password": "p"}, "both must be specified"),
            ({"validation_mode": "lax"}, "validation_mode"),
            ({"request_cleanup_interval": -1}, "request_cleanup_interval"),
            ({"request_timeout_status_code": 99}, "request_timeout_status_code"),
            ({"max_held_requests": 0}, "max_held_requests"),
            ({"response_time_down": "nan"}, "response_time_down"),
        ]
        for config, words in cases:
            full = {"transport_name": "t", "web_path": "/ussd", **config}
            given = {name: value for name, value in full.items() if value is not None}
            with self.assertRaisesRegex(ConfigError, words):
                EchoTransport.check_config(given)
