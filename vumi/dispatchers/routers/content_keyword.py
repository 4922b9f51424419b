"""The router that goes by the first word of a message."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.config import ConfigField, ConfigText
from vumi.dispatchers.fields import ConfigNameMapping
from vumi.dispatchers.router import publish_to_each
from vumi.dispatchers.routers.remembering import RememberingConfig, RememberingRouter
from vumi.dispatchers.routes import EVENT, INBOUND, OUTBOUND, Route
from vumi.errors import DispatcherError
from vumi.text_matching import bare, first_word, folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vumi.config import Config
    from vumi.message import TransportEvent, TransportUserMessage

__all__ = ["ContentKeywordConfig", "ContentKeywordRouter"]

Rule = dict[str, str]

RULE_KEYS = ("app", "keyword", "to_addr", "prefix")


class ConfigRules(ConfigField[list[Rule]]):
    """A list of rules: mappings with ``app`` and ``keyword``, maybe ``to_addr`` and ``prefix``."""

    field_type = "list of rules"

    def clean(self, value: Any) -> list[Rule]:
        """The rules, with their keywords as they are compared."""
        if not isinstance(value, list | tuple):
            self.raise_config_error("is not a list of rules.")
        return [self._clean_rule(f"rule {n}", rule) for n, rule in enumerate(value, 1)]

    def _clean_rule(self, title: str, rule: Any) -> Rule:
        if not isinstance(rule, dict):
            self.raise_config_error(f"{title} is not a mapping.")
        for key in ("app", "keyword"):
            if key not in rule:
                self.raise_config_error(f"{title} has no {key!r}.")
        cleaned: Rule = {}
        for key in RULE_KEYS:
            text = rule.get(key)
            if text is None and key in ("to_addr", "prefix"):
                continue
            if not isinstance(text, str):
                # So 9292 and yes are told from '9292' and 'yes'.
                self.raise_config_error(f"{title}: {key} is no text: in YAML, quote it.")
            cleaned[key] = folded(text) if key == "keyword" else text
        return cleaned


class ConfigKeywords(ConfigField[dict[str, str]]):
    """A mapping of exposed names to one keyword each."""

    field_type = "dict"

    def clean(self, value: Any) -> dict[str, str]:
        """The keyword by name, as it is compared."""
        if not isinstance(value, dict):
            self.raise_config_error("is not a dict.")
        for name, keyword in value.items():
            if not isinstance(keyword, str):
                self.raise_config_error(f"at {name!r} has no text: in YAML, quote it.")
        return {name: folded(keyword) for name, keyword in value.items()}


class ContentKeywordConfig(RememberingConfig):
    """Options of the router by keyword."""

    rules = ConfigRules(
        "Rules, each with: app (the exposed name), keyword (the message's first word, in any "
        "case, with or without punctuation and emoji around it), and, if they matter, to_addr "
        "(whom the message must be for) and prefix (what its from_addr must begin with). Each "
        "exposed name with a rule that fits gets a copy.",
        default=[],
        static=True,
    )
    keyword_mappings = ConfigKeywords(
        "Rules in short: the exposed name -> the keyword.", default={}, static=True
    )
    fallback_application = ConfigText(
        "The exposed name for messages that no rule fits.", static=True
    )
    transport_mappings = ConfigNameMapping(
        "The from_addr of an outbound message -> the transport to send it by.",
        required=True,
        static=True,
    )


class ContentKeywordRouter(RememberingRouter):
    """Sends messages to exposed names by their first word; answers leave by their ``from_addr``.

    Events go to who sent the message.
    """

    CONFIG_CLASS: ClassVar[type[Config] | None] = ContentKeywordConfig

    def read_options(self, options: Any) -> None:
        super().read_options(options)
        self.rules: list[Rule] = [
            *(options.rules or ()),
            *(
                {"app": app, "keyword": keyword}
                for app, keyword in (options.keyword_mappings or {}).items()
            ),
        ]
        self._bare_rules: list[Rule] = [
            {**rule, "keyword": bare(rule["keyword"])} for rule in self.rules
        ]
        self.fallback_application: str | None = options.fallback_application
        self.transport_mappings: dict[str | None, str] = dict(options.transport_mappings or {})

    def find_problems(self) -> Iterator[str]:
        yield from super().find_problems()
        mapped = set(self.options.keyword_mappings or {})
        in_rules = [rule["app"] for rule in self.options.rules or ()]
        yield from self.unknown_exposed("rules", in_rules)
        yield from self.unknown_exposed("keyword_mappings", sorted(mapped))
        if self.fallback_application is not None:
            yield from self.unknown_exposed("fallback_application", [self.fallback_application])
        yield from self.unknown_transports("transport_mappings", self.transport_mappings.values())

    def find_warnings(self) -> Iterator[str]:
        yield from super().find_warnings()
        for number, given in enumerate(self.config.get("rules") or (), 1):
            for key in given:
                if key not in RULE_KEYS:
                    yield f"Field 'rules' rule {number}: nobody knows the key {key!r}."
        for index, rule in enumerate(self.rules):
            title = f"The rule for {rule['app']!r} with {_conditions(rule)}"
            if rule["keyword"].split() != [rule["keyword"]] and rule["keyword"]:
                yield f"{title} fits no message: a keyword is a single word."
                continue
            for other_index, other in enumerate(self.rules):
                if _covers(other, rule) and not (_covers(rule, other) and index < other_index):
                    reason = f"the one with {_conditions(other)} is there"
                    yield f"{title} changes nothing, as {reason}."
                    break

    # Messages

    def dispatch_inbound_message(self, msg: TransportUserMessage) -> Any:
        content = msg["content"] or ""
        keyword, _, _ = folded(content).partition(" ")
        names = self._names_for(keyword, msg, self.rules)
        if not names and (word := first_word(content)):
            # Keywords such as * and 1.2 are what they are; else punctuation doesn't matter.
            names = self._names_for(word, msg, self._bare_rules)
        if not names and self.fallback_application is not None:
            names.append(self.fallback_application)
        if not names:
            raise DispatcherError(f"No rule fits a message with the keyword {keyword!r}.")
        return publish_to_each(self.publish_exposed_inbound, list(dict.fromkeys(names)), msg)

    def _names_for(
        self, keyword: str, msg: TransportUserMessage, rules: Sequence[Rule]
    ) -> list[str]:
        return [
            rule["app"] for rule in rules if self.is_msg_matching_routing_rules(keyword, msg, rule)
        ]

    def is_msg_matching_routing_rules(
        self, keyword: str, msg: TransportUserMessage, rule: Mapping[str, str]
    ) -> bool:
        """Whether a rule fits a message.

        :param keyword: The message's first word as it is compared
            (:func:`~vumi.text_matching.folded`); ``""`` if it has none.
        :param rule: A rule as in the config; its keyword is as it is compared.
        """
        return (
            keyword == rule["keyword"]
            and rule.get("to_addr") in (None, msg["to_addr"])
            and (msg["from_addr"] or "").startswith(rule.get("prefix", ""))
        )

    def dispatch_inbound_event(self, msg: TransportEvent) -> Any:
        return self.event_to_sender(self.publish_exposed_event, msg)

    def dispatch_outbound_message(self, msg: TransportUserMessage) -> Any:
        from_addr = msg["from_addr"]
        transport = self.transport_mappings.get(from_addr)
        if transport is None:
            raise DispatcherError(f"No transport for {from_addr}.")
        return self.send_remembered(partial(self.publish_transport, transport, msg), msg)

    # For subclasses that want to see what leaves

    def publish_transport(self, name: str, msg: TransportUserMessage) -> Any:
        """Send a message on to a transport."""
        return self.dispatcher.publish_outbound_message(name, msg)

    def publish_exposed_inbound(self, name: str, msg: TransportUserMessage) -> Any:
        """Send a message on to an application."""
        return self.dispatcher.publish_inbound_message(name, msg)

    def publish_exposed_event(self, name: str, msg: TransportEvent) -> Any:
        """Send an event on to an application."""
        return self.dispatcher.publish_inbound_event(name, msg)

    # The ways

    def list_routes(self) -> Iterator[Route]:
        for transport in self.transport_names:
            for rule in self.rules:
                yield Route(INBOUND, transport, rule["app"], _conditions(rule))
            if self.fallback_application is not None:
                yield Route(INBOUND, transport, self.fallback_application, "no rule fits")
            for exposed in self.exposed_names:
                yield Route(EVENT, transport, exposed, "about its messages")
        for exposed in self.exposed_names:
            for from_addr, transport in self.transport_mappings.items():
                yield Route(OUTBOUND, exposed, transport, f"from_addr {from_addr!r}")


def _conditions(rule: Rule) -> str:
    words = [f"keyword {rule['keyword']!r}"]
    if "to_addr" in rule:
        words.append(f"to_addr {rule['to_addr']!r}")
    if rule.get("prefix"):
        words.append(f"from_addr begins with {rule['prefix']!r}")
    return ", ".join(words)


def _covers(one: Rule, other: Rule) -> bool:
    """Whether one rule fits every message that another one of the same application fits."""
    return (
        one is not other
        and one["app"] == other["app"]
        and one["keyword"] == other["keyword"]
        and ("to_addr" not in one or one["to_addr"] == other.get("to_addr"))
        and other.get("prefix", "").startswith(one.get("prefix", ""))
    )
