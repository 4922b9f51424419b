"""A message archive by its URL.

Knows which kinds there are, and what each needs to be installed. An archive's module is imported
only when it is asked for: nobody needs the libraries of the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vumi.config.redact import mask_text
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from vumi.components.message_store.interface import IMessageArchive

__all__ = ["SCHEMES", "open_archive"]

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
    try:
        archive_class = getattr(import_module(module_name), class_name)
        return _made(archive_class, url, reactor, options)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "vumi":
            raise
        raise ConfigError(
            f"The message archive at {mask_text(url)} needs {error.name}, which is not "
            f"installed: pip install 'vumi[{extra}]'."
        ) from error


def _made(archive_class: Any, url: str, reactor: Any, options: dict[str, Any]) -> IMessageArchive:
    make = getattr(archive_class, "from_url", archive_class)
    archive: IMessageArchive = make(url, reactor, **options)
    return archive
