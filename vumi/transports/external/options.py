"""The options of the transport that is made by options, and what is compiled of them.

Knows which options there are. Knows no request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vumi.config import ConfigDict, ConfigInt, ConfigText
from vumi.errors import ConfigError
from vumi.persist.config import ConfigRedis
from vumi.transports.external.answers import Answers
from vumi.transports.external.login import LoginRule
from vumi.transports.external.receiving import Inbound, Receipts, Response
from vumi.transports.external.sections import Section, encoding_name
from vumi.transports.external.sending import Sending
from vumi.transports.external.texts import MESSAGE_NAMES
from vumi.transports.httpsms import HttpSmsTransportConfig
from vumi.web.signatures import SignatureRule

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Access", "ExternalTransportConfig", "Plan"]


@dataclass(frozen=True)
class Access:
    """What a request must have: a text that both sides know.

    :param key: The text.
    :param parameter: The parameter that has it, or empty.
    :param header: The header that has it, or empty.
    """

    key: str
    parameter: str
    header: str


@dataclass(frozen=True)
class Plan:
    """What all the options come to."""

    secrets: Mapping[str, str]
    metadata: frozenset[str]
    login: LoginRule | None
    sending: Sending | None
    answers: Answers
    inbound: Inbound | None
    receipts: Receipts | None
    goes_on: Response | None
    ends: Response | None
    error_response: Response | None
    signature: tuple[SignatureRule, str] | None
    access: Access | None

    @property
    def needs_redis(self) -> bool:
        """Whether the network's ids must be kept."""
        return self.receipts is not None and not self.receipts.is_ours


class ExternalTransportConfig(HttpSmsTransportConfig):
    """Options of a transport that is made by options."""

    transport_type = ConfigText(
        "The transport type of messages, such as sms, ussd or whatsapp.",
        default="sms",
        static=True,
    )
    secrets = ConfigDict(
        "Credentials by names of your own. The placeholder of one is {{secrets.name}}. They are "
        "shown in no log.",
        default={},
        static=True,
        secret=True,
    )
    send = ConfigDict(
        "The request that sends a message: url, method, query, headers, username and password, "
        "and as a body form, json, xml or text, with content_type. Further max_length, long_text, "
        "alphabet and retry_statuses.",
        static=True,
    )
    answer = ConfigDict(
        "What the answer to it says: id, status with statuses and other_status, error, contains.",
        default={},
        static=True,
    )
    login = ConfigDict(
        "The request for a token that has to be made first; read says where the answer has it, "
        "expires_in or lifetime for how many seconds it is good. Its placeholder is {{token}}.",
        static=True,
    )
    inbound = ConfigDict(
        "Where a request to web_path has the fields of a message: fields, metadata, each, "
        "ignore_incomplete; and what it is answered: response.",
        static=True,
    )
    replies = ConfigDict(
        "If requests wait for the reply, which is their answer: what that is if the session "
        "goes_on, and if it ends. Instead of send.",
        static=True,
    )
    receipts = ConfigDict(
        "Where a request has a delivery report: path, id, id_is, status, statuses, "
        "default_status, metadata, each; and what it is answered: response.",
        static=True,
    )
    error_response = ConfigDict(
        "What a request is answered that can't be understood. Its placeholder is {{error}}.",
        static=True,
    )
    signature = ConfigDict(
        "How requests are signed: the header, the name of the secret that is the key, and if they "
        "are not usual digest, encoding and prefix.",
        static=True,
    )
    access = ConfigDict(
        "What requests must have: the parameter or header, and as key the name of the secret that "
        "is in it.",
        static=True,
    )
    encoding = ConfigText(
        "What the texts in requests are encoded in.", default="utf-8", static=True
    )
    redis_manager = ConfigRedis(
        "Where it is kept which message a delivery report is about, if it has the network's id: "
        "the options of the key-value store.",
        default={},
        static=True,
    )
    remote_id_lifetime = ConfigInt(
        "How long that is kept, in seconds: delivery reports may come so late.",
        default=7 * 86400,
        static=True,
    )

    #: What the options come to.
    plan: Plan

    def post_validate(self) -> None:
        super().post_validate()
        problems: list[str] = []
        self.plan = _compile(self, problems)
        if not (self.remote_id_lifetime or 0) > 0:
            problems.append("remote_id_lifetime is no number from 1 up.")
        try:
            encoding_name(self.encoding)
        except ValueError as error:
            problems.append(f"encoding {error}.")
        if problems:
            raise ConfigError(problems=list(dict.fromkeys(problems)))


class _Compiler:
    """Makes a plan of options."""

    def __init__(self, config: ExternalTransportConfig, problems: list[str]) -> None:
        self._config = config
        self.problems = problems
        secrets = Section(config.secrets or {}, "secrets", problems)
        self.secrets = {str(name): secrets.text(str(name)) for name in secrets.names}
        for name, value in self.secrets.items():
            if not value:
                secrets.wrong(name, "is empty")
        secrets.close()

    def section(self, name: str) -> Section | None:
        """The options in an option."""
        value = getattr(self._config, name)
        return None if value is None else Section(value, name, self.problems)

    def inbound(self) -> Inbound | None:
        """``inbound``."""
        section = self.section("inbound")
        return None if section is None else Inbound.of(section)

    def receipts(self) -> Receipts | None:
        """``receipts``."""
        section = self.section("receipts")
        if section is None:
            return None
        receipts = Receipts.of(section)
        path, web_path = receipts.path.strip("/"), self._config.web_path.strip("/")
        if not path:
            return receipts
        if path == web_path:
            section.wrong("path", "is web_path: leave it out")
        elif f"{path}/".startswith(f"{web_path}/") or f"{web_path}/".startswith(f"{path}/"):
            section.wrong("path", "can't be below web_path, nor web_path below it")
        elif path == (self._config.health_path or "").strip("/"):
            section.wrong("path", "is health_path")
        return receipts

    def login(self) -> LoginRule | None:
        """``login``."""
        section = self.section("login")
        return None if section is None else LoginRule.of(section, self.secrets)

    def sending(self, known: Collection[str]) -> Sending | None:
        """``send``."""
        section = self.section("send")
        return None if section is None else Sending.of(section, known)

    def answers(self) -> Answers:
        """``answer``."""
        return Answers.of(self.section("answer") or Section({}, "answer", self.problems))

    def response(self, section: Section | None, known: Collection[str]) -> Response | None:
        """A response to a request."""
        return None if section is None else Response.of(section, known)

    def error_response(self) -> Response | None:
        """``error_response``."""
        section = self.section("error_response")
        return None if section is None else Response.of(section, {"error"}, 400, 599)

    def signature(self) -> tuple[SignatureRule, str] | None:
        """``signature``."""
        section = self.section("signature")
        if section is None:
            return None
        key = self._key(section)
        texts = {
            "header": section.text("header", required=True),
            "digest": section.text("digest", "sha256"),
            "encoding": section.text("encoding", "hex"),
            "prefix": section.text("prefix"),
        }
        section.close()
        try:
            return SignatureRule(**texts), key
        except ValueError as error:
            section.problems.append(f"{section.path}.{error}.")
            return None

    def access(self) -> Access | None:
        """``access``."""
        section = self.section("access")
        if section is None:
            return None
        access = Access(self._key(section), section.text("parameter"), section.text("header"))
        if bool(access.parameter) == bool(access.header):
            section.wrong("", "says one of parameter and header")
        section.close()
        return access

    def _key(self, section: Section) -> str:
        """The secret that a section names."""
        name = section.text("key", required=True)
        if name and name not in self.secrets:
            section.wrong("key", f"is the name of none of secrets: {name!r}")
        return self.secrets.get(name, "")


def _compile(config: ExternalTransportConfig, problems: list[str]) -> Plan:
    of = _Compiler(config, problems)
    inbound, receipts, login = of.inbound(), of.receipts(), of.login()
    metadata = frozenset(inbound.metadata if inbound else ())
    known = {
        *MESSAGE_NAMES,
        *(f"secrets.{name}" for name in of.secrets),
        *(f"metadata.{name}" for name in metadata),
    }
    sending = of.sending({*known, "token"} if config.login is not None else known)
    if login is not None and sending is not None and "token" not in sending.call.names:
        problems.append("login is of no use: send has no {{token}}.")
    replies = of.section("replies")
    goes_on = ends = None
    if replies is not None:
        goes_on = of.response(replies.section("goes_on"), known)
        ends = of.response(replies.section("ends"), known)
        if not replies.has("goes_on"):
            replies.wrong("goes_on", "is missing")
        replies.close()
    _check_together(config, inbound, problems)
    return Plan(
        of.secrets,
        metadata,
        login,
        sending,
        of.answers(),
        inbound,
        receipts,
        goes_on,
        ends or goes_on,
        of.error_response(),
        of.signature(),
        of.access(),
    )


def _check_together(
    config: ExternalTransportConfig, inbound: Inbound | None, problems: list[str]
) -> None:
    """Note what can't be together, or alone."""
    given: dict[str, Any] = {
        name: getattr(config, name) for name in ("send", "replies", "inbound", "login")
    }
    if given["send"] is None and given["replies"] is None and given["inbound"] is None:
        problems.append("There is nothing to do: give send, inbound or both.")
    if given["send"] is not None and given["replies"] is not None:
        problems.append("send and replies exclude each other.")
    if given["login"] is not None and given["send"] is None:
        problems.append("login is of no use without send.")
    if given["replies"] is None:
        return
    if given["inbound"] is None:
        problems.append("replies needs inbound: a request that waits for them.")
    elif inbound is not None:
        for name, is_given in (
            ("each", inbound.each is not None),
            ("response", inbound.response is not None),
            ("fields.message_id", "message_id" in inbound.fields),
        ):
            if is_given:
                problems.append(f"inbound.{name} and replies exclude each other.")
