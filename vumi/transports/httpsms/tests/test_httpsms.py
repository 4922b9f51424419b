"""An HTTP SMS transport answers when a message is safe, and says of each what became of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET

from vumi.config import ConfigText
from vumi.errors import ConfigError, StoreUnavailable
from vumi.tests.fake_connection import FakeHttpServer, wait0
from vumi.tests.helpers import PersistenceHelper
from vumi.tests.utils import LogCatcher
from vumi.transports.failures import TemporaryFailure
from vumi.transports.httprpc import Answer, Fields, Refused
from vumi.transports.httprpc.tests.clients import Client, HttpTestCase
from vumi.transports.httpsms import (
    DeliveryReport,
    HttpSmsTransport,
    HttpSmsTransportConfig,
    Rejected,
    RemoteIds,
    TryLater,
    form_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "verysecret"


class PigeonConfig(HttpSmsTransportConfig):
    api_key = ConfigText("The key.", default=SECRET, static=True, secret=True)


class PigeonTransport(HttpSmsTransport):
    """A network for tests."""

    CONFIG_CLASS = PigeonConfig

    FIELDS = Fields("from", "to", "text")

    def receive(self, incoming: Any) -> Any:
        if "report" in incoming:
            return DeliveryReport("delivered", sent_message_id=incoming.get("report"))
        if incoming.method == "PUT":
            return incoming.json()
        values = incoming.values(self.FIELDS)
        return {
            "from_addr": values["from"],
            "to_addr": values["to"],
            "content": values["text"],
        }

    def make_request(self, message: Any) -> Any:
        key = self.get_static_config().api_key
        return form_request(
            f"http://pigeons.example/send?api_key={key}",
            {"to": message["to_addr"], "text": message["content"]},
        )

    def read_response(self, message: Any, response: Any) -> str:
        answer = json.loads(response.delivered_body)
        if "error" in answer:
            raise Rejected(answer["error"])
        if "later" in answer:
            raise TryLater(answer["later"])
        sent_message_id: str = answer["id"]
        return sent_message_id


class SmsTestCase(HttpTestCase):
    transport_class = PigeonTransport

    async def start(self, transport_class: type[Any] | None = None, **config: Any) -> Any:
        self.requests: list[tuple[str, bytes]] = []
        self.answers: list[Any] = []
        server = FakeHttpServer(self.handle)
        await super().start(transport_class, **config)
        self.transport.agent_factory = server.get_agent
        return self.transport

    def handle(self, request: Any) -> Any:
        self.requests.append((request.uri.decode(), request.content.read()))
        answer = self.answers.pop(0)
        if isinstance(answer, tuple):
            request.setResponseCode(answer[0])
            return answer[1]
        return answer

    async def send(self, *answers: Any, content: str = "hello") -> Any:
        self.answers = list(answers)
        return await self.helper.make_dispatch_outbound(content, to_addr="+27831")

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1_000):
            if condition():
                return
            await wait0()
        raise AssertionError("waited in vain")

    def failures(self) -> list[str | None]:
        return [failure["failure_code"] for failure in self.helper.get_dispatched_failures()]


class SendingTests(SmsTestCase):
    async def test_a_message_that_is_taken_is_acked_with_the_networks_id(self) -> None:
        await self.start()
        message = await self.send(b'{"id": "p1"}', content="héllo")
        [ack] = self.helper.get_dispatched_events()
        self.assertEqual(ack["user_message_id"], message["message_id"])
        self.assertEqual((ack["event_type"], ack["sent_message_id"]), ("ack", "p1"))
        self.assertEqual(
            self.requests,
            [
                (
                    f"http://pigeons.example/send?api_key={SECRET}",
                    b"to=%2B27831&text=h%C3%A9llo",
                )
            ],
        )

    async def test_a_message_that_the_network_refuses_is_nacked_in_its_words(self) -> None:
        await self.start()
        await self.send(b'{"error": "no such number"}')
        self.assertEqual(self.events(), [("nack", "no such number")])
        self.assertEqual(self.failures(), [])

    async def test_a_request_that_is_refused_is_nacked_without_its_secrets(self) -> None:
        await self.start()
        await self.send((403, b"no"))
        [(kind, reason)] = self.events()
        self.assertEqual(kind, "nack")
        assert reason is not None
        assert "answered 403 Forbidden" in reason
        assert SECRET not in reason

    async def test_each_end_that_is_no_answer_is_a_failure_and_one_nack(self) -> None:
        # The old Vumi published a failure and left the application waiting for ever.
        for answer, words in [
            ((500, b""), "answered 500"),
            (b"{}", "can't be understood"),
            (b"\xff", "can't be understood"),
            (b"[]", "can't be understood"),
        ]:
            await self.start(send_retries=0)
            await self.send(answer)
            [(kind, reason)] = self.events()
            self.assertEqual(kind, "nack")
            assert reason is not None
            assert words in reason, (answer, reason)
            self.assertEqual(self.failures(), ["temporary"])
            assert SECRET not in str(self.helper.get_dispatched_failures())
            self.assertEqual(len(self.flushLoggedErrors(TemporaryFailure)), 1)

    async def test_a_key_in_a_query_by_another_name_was_in_the_log_of_retries(self) -> None:
        await self.start(send_retries=1, send_retry_delay=0, api_key="opensesame")
        self.transport.make_request = lambda message: form_request(
            "http://pigeons.example/opensesame?c=opensesame", {}
        )
        with LogCatcher() as catcher:
            sending = Deferred.fromCoroutine(self.send((503, b""), (503, b"")))
            await self.until(self.waits)
            self.clock.advance(0)
            await sending
        lines = catcher.messages()
        assert any("http://pigeons.example/****?c=**** answered 503" in line for line in lines)
        assert "opensesame" not in f"{lines} {self.events()}"
        assert "opensesame" not in str(self.helper.get_dispatched_failures())
        self.flushLoggedErrors()

    async def test_a_network_that_can_not_be_reached_is_a_failure_and_one_nack(self) -> None:
        await self.start(send_retries=0)
        self.transport.agent_factory = None
        self.transport.make_request = lambda message: form_request("http://127.0.0.1:1/", {})
        await self.send()
        [(kind, reason)] = self.events()
        self.assertEqual(kind, "nack")
        assert reason is not None
        assert "could not be reached" in reason
        self.assertEqual(self.failures(), ["temporary"])
        self.flushLoggedErrors()

    async def test_a_network_that_does_not_answer_is_not_asked_again(self) -> None:
        # It may have sent the message: a second request could send it twice.
        await self.start(send_timeout=30)
        sent = self.send(NOT_DONE_YET)
        sending = Deferred.fromCoroutine(sent)
        await self.until(lambda: bool(self.requests))
        self.clock.advance(30)
        await sending
        [(kind, reason)] = self.events()
        self.assertEqual(kind, "nack")
        assert reason is not None
        assert "did not answer within 30 s" in reason
        self.assertEqual(len(self.requests), 1)
        self.flushLoggedErrors()

    async def test_a_network_that_says_later_is_asked_again(self) -> None:
        await self.start(send_retry_delay=1)
        sending = Deferred.fromCoroutine(
            self.send((503, b""), b'{"later": "queue full"}', b'{"id": "p1"}')
        )
        for number in (1, 2):
            await self.until(lambda number=number: len(self.requests) == number)  # type: ignore[misc]  # mypy knows no default in a lambda
            await self.until(lambda: self.waits())
            self.clock.advance(60)
        await sending
        self.assertEqual(self.events(), [("ack", None)])

    def waits(self) -> bool:
        return any(
            "deferLater" in str(call) or "callback" in str(call)
            for call in self.clock.getDelayedCalls()
        )

    async def test_a_network_that_says_later_too_often_is_a_failure(self) -> None:
        await self.start(send_retries=0)
        await self.send(b'{"later": "queue full"}')
        self.assertEqual(self.events(), [("nack", "queue full")])
        self.assertEqual(self.failures(), ["temporary"])
        self.flushLoggedErrors()

    async def test_a_provider_explains_in_its_own_words(self) -> None:
        class Explaining(PigeonTransport):
            def explain(self, message: Any, error: Any) -> str:
                return f"Unexpected response code: {error.status}: {error.response.delivered_body}"

        await self.start(Explaining, send_retries=0)
        await self.send((404, b"x"))
        self.assertEqual(self.events(), [("nack", "Unexpected response code: 404: b'x'")])

    async def test_an_error_of_our_own_is_a_failure_and_one_nack(self) -> None:
        class Broken(PigeonTransport):
            async def make_request(self, message: Any) -> Any:
                raise KeyError("operator")

        await self.start(Broken)
        await self.send()
        self.assertEqual(self.events(), [("nack", "'operator'")])
        self.assertEqual(self.failures(), [None])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    async def test_a_provider_may_do_the_sending_itself(self) -> None:
        class ByHand(PigeonTransport):
            async def send(self, message: Any) -> None:
                await self.publish_ack(message["message_id"], "mine")

        await self.start(ByHand)
        await self.send()
        self.assertEqual(self.events(), [("ack", None)])

    async def test_messages_go_out_at_the_rate_that_they_may(self) -> None:
        await self.start(mt_tps=2)
        self.answers = [b'{"id": "1"}', b'{"id": "2"}', b'{"id": "3"}']
        sending = [
            self.helper.make_dispatch_outbound(str(number), to_addr=str(number))
            for number in range(3)
        ]
        await self.until(lambda: len(self.helper.get_dispatched_events()) == 1)
        for number in (2, 3):
            self.clock.advance(0.5)
            await self.until(
                lambda number=number: len(self.helper.get_dispatched_events()) == number  # type: ignore[misc]  # mypy knows no default in a lambda
            )
        for sent in sending:
            await sent
        self.assertEqual([body[-1:] for _, body in self.requests], [b"0", b"1", b"2"])

    async def test_the_outbound_side_is_told_when_it_changes(self) -> None:
        await self.start(publish_status=True, send_retries=0)
        for answer in [b'{"id": "1"}', b'{"id": "2"}', (500, b""), (401, b""), b'{"id": "3"}']:
            await self.send(answer)
        self.flushLoggedErrors()
        self.assertEqual(
            [(s["status"], s["type"]) for s in self.helper.get_dispatched_statuses()],
            [
                ("ok", "message_accepted"),
                ("down", "unavailable"),
                ("down", "credentials_refused"),
                ("ok", "message_accepted"),
            ],
        )
        assert SECRET not in str(self.helper.get_dispatched_statuses())


class StoppingTests(SmsTestCase):
    async def test_what_is_being_sent_when_the_time_is_up_is_for_the_broker_to_deliver_again(
        self,
    ) -> None:
        for mt_tps in (0, 0.001):
            transport = await self.start(drain_timeout=0, mt_tps=mt_tps)
            self.answers = [b'{"id": "1"}'] if mt_tps else []
            if mt_tps:
                await self.helper.make_dispatch_outbound("first")
            self.answers.append(NOT_DONE_YET)
            before = len(self.events())
            self.helper.make_dispatch_outbound("x")
            await self.until(lambda: bool(self.requests))
            for _ in range(20):
                await wait0()
            await self.helper.cleanup_worker(transport)
            self.assertEqual(len(self.events()), before)
            self.assertEqual(self.failures(), [])
            self.assertEqual(self.clock.getDelayedCalls(), [])


class ReceivingTests(SmsTestCase):
    async def test_a_request_is_answered_when_the_broker_has_its_message(self) -> None:
        transport = await self.start()
        confirmed: Deferred[None] = Deferred()
        publish = transport.publish_message

        async def publish_slowly(**kw: Any) -> Any:
            message = await publish(**kw)
            await confirmed
            return message

        transport.publish_message = lambda **kw: Deferred.fromCoroutine(publish_slowly(**kw))
        client = self.ask()
        message = await self.only_message()
        assert not client.is_answered
        confirmed.callback(None)
        self.assertEqual(
            (client.response.code, json.loads(client.response.body)),
            (200, {"message_id": message["message_id"]}),
        )
        self.assertEqual((message["content"], message["transport_type"]), ("hi", "sms"))

    async def test_a_request_whose_message_can_not_be_published_is_answered_500(self) -> None:
        await self.start()
        client = self.put([{"from_addr": "1", "to_addr": "2", "session_event": "sideways"}])
        self.assertEqual(client.response.code, 500)
        self.flushLoggedErrors()

    def put(self, data: Any) -> Client:
        return self.client().send("/ussd", "PUT", json.dumps(data).encode())

    async def test_a_request_may_bring_several_messages(self) -> None:
        await self.start()
        items = [{"from_addr": str(n), "to_addr": "2", "content": "x"} for n in range(3)]
        client = self.put(items)
        self.assertEqual((client.response.code, client.response.body), (200, b""))
        messages = await self.helper.wait_for_dispatched_inbound(3)
        self.assertEqual([message["from_addr"] for message in messages], ["0", "1", "2"])
        self.assertEqual(len({message["message_id"] for message in messages}), 3)
        self.assertEqual(self.put([]).response.code, 200)

    async def test_a_provider_acknowledges_in_its_own_way(self) -> None:
        class Xml(PigeonTransport):
            content_type = "text/xml"

            def make_acknowledgement(self, incoming: Any, messages: Any) -> Answer:
                return Answer(f"<ok n='{len(messages)}'/>")

        await self.start(Xml)
        self.assertEqual(self.ask().response.body, b"<ok n='1'/>")

    async def test_requests_are_refused_and_answered_as_in_the_other_family(self) -> None:
        class Answering(PigeonTransport):
            async def receive(self, incoming: Any) -> Any:
                if "good" in incoming:
                    return Answer("pong")
                raise Refused({"bad": ["x"]})

        await self.start(Answering)
        self.assertEqual(self.ask(good="1").response.body, b"pong")
        self.assertEqual(self.ask().response.code, 400)

    async def test_replies_are_sent_not_handed_on(self) -> None:
        await self.start()
        self.ask()
        message = await self.only_message()
        self.answers = [b'{"id": "p1"}']
        await self.reply(message)
        self.assertEqual(self.events(), [("ack", None)])


class DeliveryReportsTests(SmsTestCase):
    async def start(self, transport_class: type[Any] | None = None, **config: Any) -> Any:
        helper: Any = self.add_helper(PersistenceHelper())
        self.redis = redis = await helper.get_redis_manager()

        class Reporting(PigeonTransport):
            async def setup_provider(self) -> None:
                self.remote_ids = RemoteIds(redis)

        return await super().start(transport_class or Reporting, **config)

    def reports(self) -> list[tuple[str, str]]:
        return [
            (event["user_message_id"], event["delivery_status"])
            for event in self.helper.get_dispatched_events()
            if event["event_type"] == "delivery_report"
        ]

    async def test_a_report_finds_its_message_by_the_networks_id(self) -> None:
        # Without a map the old Vumi published reports that no message had.
        await self.start()
        message = await self.send(b'{"id": "p1"}')
        client = self.client().send("/ussd?report=p1")
        await self.until(lambda: client.is_answered)
        self.assertEqual((client.response.code, client.response.body), (200, b""))
        self.assertEqual(self.reports(), [(message["message_id"], "delivered")])
        ttl = await self.redis.ttl("remote_message:p1")
        assert 0 < ttl <= 7 * 24 * 3600

    async def test_a_report_about_an_unknown_message_is_taken_and_dropped(self) -> None:
        await self.start()
        client = self.client().send("/ussd?report=unknown")
        await self.until(lambda: client.is_answered)
        self.assertEqual(client.response.code, 200)
        self.assertEqual(self.helper.get_dispatched_events(), [])

    async def test_a_message_is_acked_also_when_its_id_can_not_be_remembered(self) -> None:
        transport = await self.start()

        class Away:
            async def remember(self, sent_message_id: str, message_id: str) -> None:
                raise StoreUnavailable("Redis is away.")

        transport.remote_ids = Away()
        await self.send(b'{"id": "p1"}')
        self.assertEqual(self.events(), [("ack", None)])

    async def test_a_report_with_our_own_id_needs_no_map(self) -> None:
        class Direct(PigeonTransport):
            def receive(self, incoming: Any) -> Any:
                return DeliveryReport(
                    "failed", incoming.get("ours"), transport_metadata={"code": "7"}
                )

        await self.start(Direct)
        self.client().send("/ussd?ours=m1")
        await self.until(lambda: bool(self.helper.get_dispatched_events()))
        self.assertEqual(self.reports(), [("m1", "failed")])
        [event] = self.helper.get_dispatched_events()
        self.assertEqual(event["transport_metadata"], {"code": "7"})


class ConfigTests(HttpTestCase):
    def test_a_config_that_makes_no_sense_is_refused(self) -> None:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"send_timeout": 0}, "send_timeout"),
            ({"send_retries": -1}, "send_retries"),
            ({"send_retry_delay": "nan"}, "send_retry_delay"),
            ({"mt_tps": -1}, "mt_tps"),
            ({"mt_burst": 0}, "mt_burst"),
            ({"send_connections": 0}, "send_connections"),
        ]
        for config, words in cases:
            with self.assertRaisesRegex(ConfigError, words):
                PigeonTransport.check_config({"transport_name": "t", "web_path": "/sms", **config})
