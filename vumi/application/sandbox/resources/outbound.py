"""The resource by which a sandboxed program sends messages: ``outbound.reply_to`` and its like.

Knows what a program may say about a message. Making and publishing messages is the worker's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.declared import (
    BOOLEAN,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    Argument,
    DeclaredResource,
    answers,
)
from vumi.config import Config, ConfigDict, ConfigList
from vumi.middleware.tagger import TaggingMiddleware
from vumi.payload import copy_payload

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = ["OutboundResource", "OutboundResourceConfig"]

DEFAULT_ENDPOINT = "default"


def _text(name: str, doc: str, words: str = "") -> Argument:
    """A text that must be given; the reason is the same whether it is missing or no text."""
    reason = f"'{name}' must be given{words}."
    return Argument(name, TEXT, doc, missing=reason, wrong=reason)


CONTENT = Argument(
    "content",
    TEXT_OR_NULL,
    "The message's text; null sends a message without one.",
    missing="'content' must be given.",
    wrong="'content' must be unicode or null.",
)
IN_REPLY_TO = _text(
    "in_reply_to", "The ``message_id`` of the message that this program was given."
)
CONTINUE_SESSION = Argument(
    "continue_session",
    BOOLEAN,
    "Whether the session goes on; false ends it with this message.",
    optional=True,
    default=True,
    wrong="'continue_session' must be either true or false if given",
)
TO_ADDR = _text("to_addr", "Whom it is for.", " in sends")
ENDPOINT_DOC = "The endpoint that it is sent to: ``default``, or one that the worker knows."
ENDPOINT = _text("endpoint", ENDPOINT_DOC, " in sends")
HELPER_METADATA = Argument(
    "helper_metadata",
    OBJECT,
    "What transports and dispatchers are told besides. Only keys that the resource's option "
    "``allowed_helper_metadata`` has.",
    optional=True,
    wrong="'helper_metadata' must be object or null.",
)


class OutboundResourceConfig(Config):
    """Options of the outbound resource."""

    allowed_helper_metadata = ConfigList(
        "The keys that programs may set in messages' ``helper_metadata``.",
        default=[],
        static=True,
    )
    endpoints = ConfigList(
        "Endpoints that programs may send to, besides the default one and those in the worker's "
        "option ``send_to``.",
        default=[],
        static=True,
    )
    tags = ConfigDict(
        "Tags that programs may send by (``send_to_tag``): pool -> tag -> the endpoint that the "
        "message is sent to.",
        default={},
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        for name in ("allowed_helper_metadata", "endpoints"):
            if not all(isinstance(text, str) for text in getattr(self, name)):
                self.raise_config_error(f"Field '{name}' may only hold texts.")
        for tags in self.tags.values():
            if not isinstance(tags, dict) or not all(isinstance(e, str) for e in tags.values()):
                self.raise_config_error("Field 'tags' must be a dict of dicts of endpoints.")


class OutboundResource(DeclaredResource):
    """Sends messages.

    A program can reply only to the message that it was given. A reply takes along what the message
    had in its ``helper_metadata``, as all replies do; what the program gives comes on top.
    """

    CONFIG_CLASS: ClassVar[type[Config]] = OutboundResourceConfig

    def setup(self) -> None:
        """Have the worker allow the endpoints that are configured."""
        worker = self.app_worker
        allowed = worker.ALLOWED_ENDPOINTS
        if allowed is not None:
            more = {endpoint for tags in self.options.tags.values() for endpoint in tags.values()}
            more.update(self.options.endpoints, worker.config.get("send_to") or {})
            worker.ALLOWED_ENDPOINTS = frozenset(allowed) | more

    # What may be wrong

    def _check_metadata(self, metadata: dict[str, Any] | None) -> None:
        allowed = self.options.allowed_helper_metadata
        if not metadata:
            return
        if not allowed:
            raise CommandRefused("'helper_metadata' is not allowed")
        if not set(metadata) <= set(allowed):
            names = ", ".join(sorted(allowed))
            raise CommandRefused(f"'helper_metadata' may only contain the following keys: {names}")

    def _check_endpoint(self, endpoint: str) -> None:
        allowed = self.app_worker.ALLOWED_ENDPOINTS
        if allowed is not None and endpoint not in allowed:
            raise CommandRefused(f"Endpoint '{endpoint}' not configured")

    # Replies

    async def _reply(
        self,
        reply: Any,
        api: SandboxApi,
        content: str | None,
        in_reply_to: str,
        continue_session: bool,
        helper_metadata: dict[str, Any] | None,
    ) -> dict[str, Any]:
        self._check_metadata(helper_metadata)
        original = api.get_inbound_message(in_reply_to)
        if original is None:
            raise CommandRefused(f"Could not find original message with id: '{in_reply_to}'")
        metadata = copy_payload(original.get("helper_metadata") or {})
        metadata.update(helper_metadata or {})
        await reply(original, content, continue_session=continue_session, helper_metadata=metadata)
        return {}

    @answers(CONTENT, IN_REPLY_TO, CONTINUE_SESSION, HELPER_METADATA)
    async def handle_reply_to(
        self, api: SandboxApi, command: SandboxCommand, **fields: Any
    ) -> dict[str, Any]:
        """Reply to the user."""
        return await self._reply(self.app_worker.reply_to, api, **fields)

    @answers(CONTENT, IN_REPLY_TO, CONTINUE_SESSION, HELPER_METADATA)
    async def handle_reply_to_group(
        self, api: SandboxApi, command: SandboxCommand, **fields: Any
    ) -> dict[str, Any]:
        """Reply to the whole group that the message came through."""
        return await self._reply(self.app_worker.reply_to_group, api, **fields)

    # Messages that are no replies

    async def _send(
        self,
        content: str | None,
        to_addr: str,
        endpoint: str,
        helper_metadata: dict[str, Any] | None,
    ) -> dict[str, Any]:
        self._check_metadata(helper_metadata)
        self._check_endpoint(endpoint)
        await self.app_worker.send_to(
            to_addr, content, endpoint=endpoint, helper_metadata=dict(helper_metadata or {})
        )
        return {}

    @answers(
        CONTENT,
        TO_ADDR,
        Argument(
            "endpoint",
            TEXT,
            ENDPOINT_DOC,
            optional=True,
            default=DEFAULT_ENDPOINT,
            wrong=ENDPOINT.wrong,
        ),
        HELPER_METADATA,
    )
    async def handle_send_to(
        self, api: SandboxApi, command: SandboxCommand, **fields: Any
    ) -> dict[str, Any]:
        """Send a message that is no reply."""
        return await self._send(**fields)

    @answers(CONTENT, TO_ADDR, ENDPOINT, HELPER_METADATA)
    async def handle_send_to_endpoint(
        self, api: SandboxApi, command: SandboxCommand, **fields: Any
    ) -> dict[str, Any]:
        """Send a message that is no reply to an endpoint."""
        return await self._send(**fields)

    @answers(
        Argument("tagpool", TEXT, "The tag's pool."),
        Argument("tag", TEXT, "The tag's name in its pool."),
        CONTENT,
        TO_ADDR,
    )
    async def handle_send_to_tag(
        self,
        api: SandboxApi,
        command: SandboxCommand,
        tagpool: str,
        tag: str,
        content: str | None,
        to_addr: str,
    ) -> dict[str, Any]:
        """Send a message that is no reply, by a tag that the resource's option ``tags`` has."""
        endpoint = self.options.tags.get(tagpool, {}).get(tag)
        if endpoint is None:
            raise CommandRefused(f"Tag ('{tagpool}', '{tag}') not configured")
        fields: dict[str, Any] = {}
        TaggingMiddleware.add_tag_to_payload(fields, (tagpool, tag))
        await self.app_worker.send_to(to_addr, content, endpoint=endpoint, **fields)
        return {}
