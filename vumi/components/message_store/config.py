"""The options that say where messages are stored: what ``message_store`` may have.

Knows what is asked for, and how the old Vumi asked for it (``riak_manager``, ``redis_manager``,
``store_prefix``). Opens nothing by itself.

Floors: components may be asked for by workers and middleware; this module knows neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from twisted.logger import Logger

from vumi.config import (
    Config,
    ConfigDict,
    ConfigFloat,
    ConfigInt,
    ConfigRiak,
    ConfigText,
    config_hints,
    unknown_keys,
)
from vumi.config.redact import mask_text
from vumi.config.tree import copy_tree
from vumi.errors import ConfigError
from vumi.extras import needs_extra
from vumi.persist.config import ConfigRedis
from vumi.process_reactor import process_reactor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vumi.components.message_store.interface import IMessageArchive
    from vumi.config import IConfigData


__all__ = [
    "SCHEMES",
    "ConfigMessageStore",
    "MessageStoreConfig",
    "MessageStoreOptions",
    "open_archive",
    "riak_url",
]

_log = Logger()

#: What the keys of the figures have after Redis' own prefix, by default.
STORE_PREFIX = "message_store"

RIAK_HTTP_PORT = 8098
MAX_PATIENCE = 3600


class MessageStoreConfig(Config):
    """The options of a message store."""

    url = ConfigText(
        "Where messages are kept: ``sqlite:///path/to/file``, "
        "``postgresql://user:password@host/database``, or "
        "``riak://host,host2/?bucket_prefix=...``. ``sqlite://`` alone is in memory and gone at "
        "the end.",
        required=True,
        static=True,
        secret=True,
    )
    keep_for = ConfigInt(
        "How long messages and events are kept, in seconds; older ones are erased, a few at a "
        "time, by one of the workers that have this option. Without it all are kept for ever.",
        static=True,
        lowest=1,
    )
    patience = ConfigFloat(
        "How long something is tried again while the archive is away, in seconds, before it is "
        "given up: 15 by default. It should be less than a worker's ``handler_timeout``.",
        static=True,
        lowest=0,
        highest=MAX_PATIENCE,
    )
    redis_manager = ConfigRedis(
        "Where figures of batches are kept (see ``vumi.persist.config.RedisConfig``). Without it "
        "they are counted in the archive whenever somebody asks.",
        static=True,
    )
    store_prefix = ConfigText(
        "What the keys of the figures begin with, after the key_prefix of redis_manager.",
        default=STORE_PREFIX,
        static=True,
    )

    def __init__(
        self, config_data: Mapping[str, Any] | IConfigData, *, path: str = "message_store"
    ) -> None:
        copied = dict(config_data) if isinstance(config_data, Mapping) else config_data
        super().__init__(copied, static=True, path=path)

    def post_validate(self) -> None:
        super().post_validate()
        scheme = self.url.partition("://")[0].partition("+")[0].lower()
        if "://" not in self.url or scheme not in SCHEMES:
            self.raise_config_error(
                "Field 'url' is not the URL of a message archive: use sqlite:///path, "
                "postgresql://user:password@host/database or riak://host/?bucket_prefix=..."
            )

    def archive(self, reactor: Any = None, create: bool = True) -> Any:
        """The archive, to be opened.

        :param reactor: Twisted's; the global one by default.
        :param create: Whether opening makes an archive if there is none.
        :raises ConfigError: The URL can't be used, or a library is not installed.
        """
        if reactor is None:
            reactor = process_reactor()
        options: dict[str, Any] = {} if create else {"create": False}
        if self.patience is not None:
            options["patience"] = self.patience
        return open_archive(self.url, reactor, **options)

    async def redis(self) -> Any:
        """A manager with the prefix of the figures, of a connection of its own."""
        from vumi.persist.txredis_manager import TxRedisManager

        manager = await TxRedisManager.from_config(self.redis_manager)
        # The sub-manager keeps the connection; closing the last one closes it.
        return manager.sub_manager(self.store_prefix) if self.store_prefix else manager


class ConfigMessageStore(ConfigDict):
    """An option that holds a message store's options, checked with all others.

    A text is taken for the store's URL.
    """

    field_type = "message store"

    def clean(self, value: Any) -> dict[str, Any]:
        """A deep copy.

        :raises ConfigError: With a problem for each option that is wrong.
        """
        cleaned = super().clean({"url": value} if isinstance(value, str) else value)
        MessageStoreConfig(cleaned, path=self.name)
        return cleaned

    def hints(self, value: Any) -> Iterator[str]:
        """What is probably a mistake in the options."""
        if isinstance(value, dict):
            for hint in config_hints(MessageStoreConfig, value):
                yield f"{self.name}: {hint}"


class MessageStoreOptions(Config):
    """The options of whatever opens a message store. To be inherited from, beside others."""

    message_store = ConfigMessageStore(
        "Where messages are kept: a mapping with ``url``, and optionally ``keep_for`` (seconds), "
        "``redis_manager`` and ``store_prefix``; or only the URL. See "
        "``vumi.components.message_store.config.MessageStoreConfig``.",
        static=True,
        secret=True,
    )
    riak_manager = ConfigRiak(
        "The old way to say that messages are kept in Riak: ``bucket_prefix``, ``host``, "
        "``port``. Not both this and message_store.",
        static=True,
        secret=True,
    )
    redis_manager = ConfigRedis(
        "The old place for where figures of batches are kept, used if message_store does not say.",
        static=True,
    )
    store_prefix = ConfigText(
        "The old place for what the keys of the figures begin with, after redis_manager's "
        "key_prefix.",
        default=STORE_PREFIX,
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if self.message_store is None and self.riak_manager is None:
            self.raise_config_error(
                "It is not said where messages are kept: give message_store, such as "
                "{url: 'sqlite:///messages.db'}."
            )
        if self.message_store is not None and self.riak_manager is not None:
            self.raise_config_error("Only one of message_store and riak_manager may be given.")
        if self.riak_manager is not None:
            riak_url(self.riak_manager)

    def store_options(self) -> dict[str, Any]:
        """What :meth:`vumi.components.message_store.MessageStore.from_config` is to be given."""
        options: dict[str, Any] = self.message_store or {}
        redis_manager = self.redis_manager
        if not options:
            options["url"] = riak_url(self.riak_manager)
            # The old Vumi's default: Redis on this machine.
            redis_manager = redis_manager or {}
        if redis_manager is not None:
            options.setdefault("redis_manager", redis_manager)
        options.setdefault("store_prefix", self.store_prefix)
        for unknown in unknown_keys(MessageStoreConfig, options):
            _log.warn(
                "message_store: {sentence}", event="unknown-option", sentence=unknown.sentence()
            )
        return options


def riak_url(riak_manager: Mapping[str, Any]) -> str:
    """The URL of what an old ``riak_manager`` option says.

    :raises ConfigError: It asks for what is not there any more.
    """
    options: dict[str, Any] = copy_tree(dict(riak_manager))
    if isinstance(options.get("url"), str):
        # Not of the old Vumi: tests name an archive in place of Riak.
        url: str = options["url"]
        return url
    problems = []
    prefix = options.pop("bucket_prefix", None)
    if not isinstance(prefix, str) or not prefix:
        problems.append("riak_manager: Field 'bucket_prefix' must be a text.")
    host, port = options.pop("host", "127.0.0.1"), options.pop("port", RIAK_HTTP_PORT)
    if not isinstance(host, str) or not host:
        problems.append("riak_manager: Field 'host' must be a text.")
    if options.get("transport_type", "http") != "http":
        # The port is that of the other protocol.
        port = RIAK_HTTP_PORT
        _log.warn(
            "riak_manager: transport_type {type} is not there any more; HTTP is used, with the "
            "port {port}.",
            event="riak-transport-type",
            type=options["transport_type"],
            port=port,
        )
    if problems:
        raise ConfigError(problems=problems)
    query = urlencode({"bucket_prefix": prefix}, quote_via=quote)
    at = f"[{host}]" if ":" in host else host
    return f"riak://{at}:{port}/?{query}"


_ROOM = "vumi.components.message_store"

#: Scheme -> module, class, and the extra that has what it needs.
SCHEMES = {
    "sqlite": (f"{_ROOM}.sql", "SqlArchive", "sql"),
    "postgresql": (f"{_ROOM}.sql", "SqlArchive", "postgres"),
    "postgres": (f"{_ROOM}.sql", "SqlArchive", "postgres"),
    "riak": (f"{_ROOM}.riak", "RiakArchive", "http"),
    "riaks": (f"{_ROOM}.riak", "RiakArchive", "http"),
}


def open_archive(url: str, reactor: Any, **options: Any) -> IMessageArchive:
    """Make the archive that a URL names. Its ``open()`` is still to be called.

    ``sqlite:///relative/path``, ``sqlite:////absolute/path``, ``sqlite://`` (in memory, and gone
    when it is closed), ``postgresql://user:password@host:port/database``, or
    ``riak://host:port,host2/?bucket_prefix=...``.

    :param options: What the archive's class takes besides, such as the SQL archive's ``patience``.
    :raises ConfigError: The URL can't be used, or what it needs is not installed. The words have
        no password in them.
    """
    scheme, has_host, _ = url.partition("://")
    # postgresql+psycopg: as SQLAlchemy names drivers; we know which one we need.
    known = SCHEMES.get(scheme.partition("+")[0].lower()) if has_host else None
    if known is None:
        raise ConfigError(
            f"{mask_text(url)!r} is not the URL of a message archive: use sqlite:///path, "
            "postgresql://user:password@host/database or riak://host/?bucket_prefix=..."
        )
    module_name, class_name, extra = known
    with needs_extra(extra):
        archive_class = getattr(import_module(module_name), class_name)
        return _made(archive_class, url, reactor, options)


def _made(archive_class: Any, url: str, reactor: Any, options: dict[str, Any]) -> IMessageArchive:
    make = getattr(archive_class, "from_url", archive_class)
    archive: IMessageArchive = make(url, reactor, **options)
    return archive
