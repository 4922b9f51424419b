"""``vumi_tagpools``: tag pools, as a configuration file names them.

Knows the file and the words for a terminal. What happens to the pools is
:mod:`vumi.components.tagpool`'s.

.. code-block:: yaml

    redis_manager: {host: 127.0.0.1, key_prefix: vumi}
    tagpool_prefix: vumi
    pools:
      shortcode:
        tags: ["8864", "9292"]
        metadata: {transport_type: sms}
      longcode:
        tags: ["longcode[10001-10100]"]
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from vumi.cli.groups import CommandGroup
from vumi.components.tagpool import TagpoolManager
from vumi.config import Config, ConfigDict, ConfigText
from vumi.errors import ConfigError, VumiError
from vumi.persist.config import ConfigRedis
from vumi.persist.redis_manager import RedisManager
from vumi.scripts.tag_ranges import compressed, tags_of
from vumi.yamlconfig import read_yaml_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vumi.components.tagpool import Tag

__all__ = ["TagpoolsConfig", "main"]


class TagpoolsConfig(Config):
    """The configuration file of ``vumi_tagpools``."""

    pools = ConfigDict(
        "Name of a pool -> ``tags``, a list of tags and of ranges such as ``foo[100-200]``, and "
        "``metadata``, a mapping.",
        default={},
        static=True,
    )
    redis_manager = ConfigRedis("Where the tag pools are.", default={}, static=True)
    tagpool_prefix = ConfigText(
        "What the keys of the tag pools begin with, after the key_prefix of redis_manager.",
        default="vumi",
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        problems = []
        for name, pool in (self.pools or {}).items():
            if not isinstance(pool, dict):
                problems.append(f"Pool {name!r} must be a mapping with tags and metadata.")
            elif not isinstance(pool.get("metadata") or {}, dict):
                problems.append(f"Pool {name!r}: metadata must be a mapping.")
        if problems:
            raise ConfigError(problems=problems)


class ConfiguredPools:
    """The pools of a configuration file, and those in the store.

    :param config: What the file says.
    """

    def __init__(self, config: TagpoolsConfig) -> None:
        # YAML reads digits without quotes as a number.
        self._pools = {str(name): pool for name, pool in (config.pools or {}).items()}
        self._redis = RedisManager.from_config(config.redis_manager)
        self.tagpool = TagpoolManager(self._redis.sub_manager(config.tagpool_prefix))

    def close(self) -> None:
        """Let go of the store."""
        self._redis.close_manager()

    def names(self) -> set[str]:
        """The pools in the file."""
        return set(self._pools)

    def _pool(self, name: str) -> dict[str, Any]:
        if name not in self._pools:
            raise ConfigError(f"The configuration has no pool {name!r}.")
        pool: dict[str, Any] = self._pools[name]
        return pool

    def tags(self, name: str) -> list[Tag]:
        """The tags that the file has for a pool."""
        where = f"Pool {name!r}"
        return [(name, tag) for tag in tags_of(self._pool(name).get("tags") or [], where)]

    def metadata(self, name: str) -> dict[str, Any]:
        """The metadata that the file has for a pool."""
        metadata: dict[str, Any] = self._pool(name).get("metadata") or {}
        return metadata


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: vumi_tagpools -c tagpools.yaml create-pool shortcode",
)
@click.option(
    "-c",
    "--config",
    "path",
    metavar="FILE",
    default="tagpools.yaml",
    show_default=True,
    help="The file that names the pools.",
)
@click.pass_context
def main(context: click.Context, path: str) -> None:
    """Make and look at pools of tags: the addresses that are handed out to conversations."""
    context.obj = path


def with_pools(command: Callable[..., None]) -> Callable[..., None]:
    """Open the pools for a command, which gets them first, and close them after it."""

    @click.pass_obj
    @wraps(command)
    def wrapper(path: str, *args: Any, **kw: Any) -> None:
        pools = ConfiguredPools(TagpoolsConfig(read_yaml_config(path), static=True))
        try:
            command(pools, *args, **kw)
        finally:
            pools.close()

    return wrapper


def _show(title: str, lines: Iterable[str]) -> None:
    click.echo(f"{title}:")
    for line in list(lines) or ["-- None --"]:
        click.echo(f"   {line}")


@main.command("create-pool")
@click.argument("pool")
@with_pools
def create_pool(pools: ConfiguredPools, pool: str) -> None:
    """Create POOL: set its metadata and declare its tags.

    What is there already stays, so a pool can be made larger by this too.
    """
    tags, metadata = pools.tags(pool), pools.metadata(pool)
    pools.tagpool.set_metadata(pool, metadata)
    pools.tagpool.declare_tags(tags)
    click.echo(f"Created pool {pool}: {len(tags)} tags declared, metadata set")


@main.command("update-pool-metadata")
@click.argument("pool")
@with_pools
def update_pool_metadata(pools: ConfiguredPools, pool: str) -> None:
    """Set the metadata of POOL to what the configuration has."""
    pools.tagpool.set_metadata(pool, pools.metadata(pool))
    click.echo(f"Updated metadata of pool {pool}")


@main.command("update-all-metadata")
@with_pools
def update_all_metadata(pools: ConfiguredPools) -> None:
    """Set the metadata of all pools that exist and are in the configuration."""
    both = sorted(pools.names() & pools.tagpool.list_pools())
    for pool in both:
        pools.tagpool.set_metadata(pool, pools.metadata(pool))
    _show("Updated metadata of", both)


@main.command("purge-pool")
@click.argument("pool")
@with_pools
def purge_pool(pools: ConfiguredPools, pool: str) -> None:
    """Delete POOL with all its tags, if none is in use."""
    pools.tagpool.purge_pool(pool)
    click.echo(f"Purged pool {pool}")


@main.command("list-keys")
@click.argument("pool")
@with_pools
def list_keys(pools: ConfiguredPools, pool: str) -> None:
    """List the tags of POOL."""
    for title, tags in (
        ("Free tags", pools.tagpool.free_tags(pool)),
        ("Tags in use", pools.tagpool.inuse_tags(pool)),
    ):
        _show(f"{title} of pool {pool}", compressed(tag for _, tag in tags))


@main.command("list-pools")
@with_pools
def list_pools(pools: ConfiguredPools) -> None:
    """List the pools, in the configuration and in the store."""
    configured, existing = pools.names(), pools.tagpool.list_pools()
    _show("Pools in the configuration and in the store", sorted(configured & existing))
    _show("Pools only in the configuration", sorted(configured - existing))
    _show("Pools only in the store", sorted(existing - configured))


@main.command("release-tag")
@click.argument("pool")
@click.argument("tag")
@with_pools
def release_tag(pools: ConfiguredPools, pool: str, tag: str) -> None:
    """Release TAG of POOL, whatever its owner."""
    if (pool, tag) in pools.tagpool.inuse_tags(pool):
        pools.tagpool.release_tag((pool, tag))
        click.echo(f"Released {tag} of pool {pool}")
    elif (pool, tag) in pools.tagpool.free_tags(pool):
        click.echo(f"Tag {tag} of pool {pool} is not in use")
    else:
        raise VumiError(f"Unknown tag {tag} of pool {pool}.")


if __name__ == "__main__":
    main()
