"""Which message store a command is to work on: said by a URL, or by a worker's configuration.

Knows the options that say it, and how a store is opened for a command. What is done with it the
commands know.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = ["STORE_VARIABLE", "StoreChoice", "find_store_options", "store_options"]

#: The environment variable with the URL.
STORE_VARIABLE = "VUMI_MESSAGE_STORE"

#: How deep in a file a store is looked for: workers, their middlewares, a store's own options.
_MAX_DEPTH = 4
_OPTIONS = ("message_store", "riak_manager", "redis_manager", "store_prefix")


class StoreChoice:
    """The store that was asked for.

    :param url: Its URL, if that was given.
    :param config_file: The file that says it, if that was given.
    """

    def __init__(self, url: str | None, config_file: str | None) -> None:
        self._url = url
        self._config_file = config_file

    def options(self) -> dict[str, Any]:
        """What :meth:`vumi.components.message_store.MessageStore.from_config` is to be given.

        :raises ConfigError: No store was asked for, or the file has none.
        """
        if self._config_file is not None:
            return _options_of_file(self._config_file)
        if self._url is not None:
            return {"url": self._url}
        raise ConfigError(
            "Which message store? Give --store URL (such as sqlite:///messages.db), --config FILE "
            f"(a worker's), or set {STORE_VARIABLE}."
        )

    def run(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        """Open the store, do something with it, close it. No command makes an archive.

        :param work: Called with the :class:`~vumi.components.message_store.MessageStore`.
        :returns: What the work returned.
        """
        options = self.options()

        from vumi.cli.in_reactor import run_in_reactor, write_no_log
        from vumi.components.message_store.store import MessageStore

        async def with_store(reactor: Any) -> Any:
            store = await MessageStore.from_config(options, reactor, create=False)
            try:
                return await work(store)
            finally:
                await store.close()

        write_no_log()
        return run_in_reactor(with_store)


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which store; it gets a :class:`StoreChoice` first."""

    @click.option(
        "--store",
        "store_url",
        metavar="URL",
        envvar=STORE_VARIABLE,
        help="Where the messages are: sqlite:///messages.db, postgresql://..., riak://... "
        f"Default: what {STORE_VARIABLE} has.",
    )
    @click.option(
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="A worker's configuration that says where: its own message_store, or that of a "
        "storing middleware.",
    )
    @wraps(command)
    def wrapper(store_url: str | None, config_file: str | None, *args: Any, **kw: Any) -> Any:
        return command(StoreChoice(store_url, config_file), *args, **kw)

    return wrapper


def _options_of_file(path: str) -> dict[str, Any]:
    from vumi.config.redact import mask_text
    from vumi.yamlconfig import read_yaml_config

    found: list[dict[str, Any]] = []
    for options in find_store_options(read_yaml_config(path, optional=False)):
        if options not in found:
            found.append(options)
    if not found:
        raise ConfigError(
            f"{path} says nothing of a message store: neither message_store nor riak_manager."
        )
    urls = sorted({str(options["url"]) for options in found})
    if len(urls) > 1:
        raise ConfigError(
            f"{path} has several message stores; say which by --store: "
            f"{', '.join(mask_text(url) for url in urls)}"
        )
    # Of several that share an archive the one that also says where figures are.
    return max(found, key=len)


def find_store_options(config: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Find what a configuration says of message stores, also in the sections of its parts.

    :raises ConfigError: What it says can't be used.
    """
    from vumi.components.message_store.config import MessageStoreOptions

    if not isinstance(config, Mapping) or depth > _MAX_DEPTH:
        return
    if config.get("message_store") is not None or config.get("riak_manager") is not None:
        given = {name: config[name] for name in _OPTIONS if name in config}
        yield MessageStoreOptions(given, static=True).store_options()
        return
    for section in config.values():
        yield from find_store_options(section, depth + 1)
