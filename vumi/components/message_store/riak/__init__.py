"""The message archive in Riak. Only re-exports."""

from vumi.components.message_store.riak.archive import RiakArchive

__all__ = ["RiakArchive"]
