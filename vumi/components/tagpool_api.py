"""The tag pools as a web service: JSON-RPC.

Knows which methods there are, and what they take and give. What they do is
:mod:`vumi.components.tagpool`'s, how requests look :mod:`vumi.web.jsonrpc`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import inlineCallbacks
from twisted.web.resource import Resource

from vumi.components.tagpool import TagpoolManager
from vumi.config import ConfigServerEndpoint, ConfigText, ServerEndpointFallback
from vumi.config.numbers import ConfigPort
from vumi.persist.config import ConfigRedis
from vumi.persist.txredis_manager import TxRedisManager
from vumi.rpc import Dict, List, Null, Tag, Unicode, signature
from vumi.tasks import deferred, settle
from vumi.web.jsonrpc import JsonRpcResource
from vumi.web.server import BoundedSite
from vumi.worker import BaseConfig, BaseWorker

if TYPE_CHECKING:
    from twisted.internet.interfaces import IListeningPort
    from twisted.web.http import Request

__all__ = ["TagpoolApiConfig", "TagpoolApiServer", "TagpoolApiWorker"]


class TagpoolApiServer(JsonRpcResource):
    """The methods of a tag pool manager.

    :param tagpool: A :class:`~vumi.components.tagpool.TagpoolManager` that gives Deferreds.
    """

    def __init__(self, tagpool: TagpoolManager) -> None:
        super().__init__()
        self.tagpool = tagpool

    @signature(
        pool=Unicode("Name of pool to acquire tag from."),
        owner=Unicode("Who gets the tag.", null=True),
        reason=Dict("What it is for.", null=True),
        returns=Tag("The tag that was acquired (or null).", null=True),
    )
    def jsonrpc_acquire_tag(
        self, pool: str, owner: str | None = None, reason: dict[str, Any] | None = None
    ) -> Any:
        """Acquire the next free tag of a pool (null if none is free)."""
        return self.tagpool.acquire_tag(pool, owner, reason)

    @signature(
        tag=Tag("Tag to acquire as [pool, tagname] pair."),
        owner=Unicode("Who gets the tag.", null=True),
        reason=Dict("What it is for.", null=True),
        returns=Tag("The tag that was acquired (or null).", null=True),
    )
    def jsonrpc_acquire_specific_tag(
        self, tag: list[str], owner: str | None = None, reason: dict[str, Any] | None = None
    ) -> Any:
        """Acquire a tag (null if it is not free)."""
        return self.tagpool.acquire_specific_tag(tag, owner, reason)

    @signature(tag=Tag("Tag to release as [pool, tagname] pair."), returns=Null())
    def jsonrpc_release_tag(self, tag: list[str]) -> Any:
        """Release a tag, if it is in use."""
        return self.tagpool.release_tag(tag)

    @signature(
        tags=List("List of tags to declare.", item_type=Tag()),
        returns=Null(),
    )
    def jsonrpc_declare_tags(self, tags: list[list[str]]) -> Any:
        """Add tags to their pools. Those that are there already stay as they are."""
        return self.tagpool.declare_tags(tags)

    @signature(
        pool=Unicode("Name of pool to get metadata for."),
        returns=Dict("What is known of the pool."),
    )
    def jsonrpc_get_metadata(self, pool: str) -> Any:
        """What is known of a pool."""
        return self.tagpool.get_metadata(pool)

    @signature(
        pool=Unicode("Name of pool to set metadata for."),
        metadata=Dict("What is known of the pool."),
        returns=Null(),
    )
    def jsonrpc_set_metadata(self, pool: str, metadata: dict[str, Any]) -> Any:
        """Set what is known of a pool; what was known before is forgotten."""
        return self.tagpool.set_metadata(pool, metadata)

    @signature(pool=Unicode("Name of pool to purge."), returns=Null())
    def jsonrpc_purge_pool(self, pool: str) -> Any:
        """Delete a pool with all its tags, if none is in use."""
        return self.tagpool.purge_pool(pool)

    @signature(returns=List("Names of pools.", item_type=Unicode()))
    @inlineCallbacks
    def jsonrpc_list_pools(self) -> Any:
        """The pools."""
        pools = yield self.tagpool.list_pools()
        return sorted(pools)

    @signature(pool=Unicode("Name of pool."), returns=List("Tags that are free.", item_type=Tag()))
    def jsonrpc_free_tags(self, pool: str) -> Any:
        """The tags of a pool that can be acquired."""
        return self.tagpool.free_tags(pool)

    @signature(
        pool=Unicode("Name of pool."), returns=List("Tags that are in use.", item_type=Tag())
    )
    def jsonrpc_inuse_tags(self, pool: str) -> Any:
        """The tags of a pool that are acquired."""
        return self.tagpool.inuse_tags(pool)

    @signature(
        tag=Tag("Tag as [pool, tagname] pair."),
        returns=List("Owner and reason, both null if the tag is not in use.", length=2),
    )
    @inlineCallbacks
    def jsonrpc_acquired_by(self, tag: list[str]) -> Any:
        """Who has a tag, and why."""
        owner, reason = yield self.tagpool.acquired_by(tag)
        return [owner, reason]

    @signature(
        owner=Unicode("Who has the tags (or null for those without an owner).", null=True),
        returns=List("Tags of the owner.", item_type=Tag()),
    )
    def jsonrpc_owned_tags(self, owner: str | None) -> Any:
        """The tags that an owner has."""
        return self.tagpool.owned_tags(owner)


class _Health(Resource):
    """Says that the worker is there, to a monitor that asks often."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        vars(request)["do_not_log"] = True
        return b"OK"


class TagpoolApiConfig(BaseConfig):
    """Options of the tag pool service."""

    worker_name = ConfigText(
        "The worker's name in logs and heartbeats.", required=True, static=True
    )
    twisted_endpoint = ConfigServerEndpoint(
        "Where the service listens, such as tcp:8080:interface=127.0.0.1.",
        required=True,
        static=True,
        fallbacks=(ServerEndpointFallback(),),
    )
    web_path = ConfigText("The path of the service.", required=True, static=True)
    health_path = ConfigText(
        "The path that answers OK to monitors.", default="/health/", static=True
    )
    redis_manager = ConfigRedis("Where the tag pools are.", default={}, static=True)
    host = ConfigText("Deprecated: use twisted_endpoint.", static=True)
    port = ConfigPort("Deprecated: use twisted_endpoint.", static=True, any_free=True)


class TagpoolApiWorker(BaseWorker):
    """Serves the tag pools to programs that speak JSON-RPC.

    Every client that can connect may do everything: let it listen only where that is safe.
    """

    CONFIG_CLASS: ClassVar[Any] = TagpoolApiConfig

    def __init__(self, options: Any, config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        self.redis: Any = None
        self.port: IListeningPort | None = None
        self.site: BoundedSite | None = None

    def setup_connectors(self) -> None:
        """It has none."""

    @deferred
    async def setup_worker(self) -> None:
        config = self.get_static_config()
        self.redis = await TxRedisManager.from_config(config.redis_manager)
        api = TagpoolApiServer(TagpoolManager(self.redis))
        api.add_introspection()
        pages = {config.web_path: api, config.health_path: _Health()}
        self.site = BoundedSite.of(pages, self.clock)
        try:
            self.port = await config.twisted_endpoint.listen(self.site)
        except Exception:
            # Not torn down otherwise, as this was not set up.
            await self.redis.close_manager()
            raise

    @deferred
    async def teardown_worker(self) -> None:
        if self.port is not None:
            await settle(self.port.stopListening())
        if self.site is not None:
            await self.site.close()
        await self.redis.close_manager()
