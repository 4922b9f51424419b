"""Where workers keep what must outlive them: the key-value store (Redis).

How it is built, from the bottom:

* :mod:`~vumi.persist.interface`: the seam. Words in, a reply out.
* Three things behind the seam: :mod:`~vumi.persist.fake_redis` (in this process),
  :mod:`~vumi.persist.blocking` (Redis, redis-py), :mod:`~vumi.persist.txredis_client` (Redis,
  Twisted).
* :mod:`~vumi.persist.commands`: the commands, each once: its words, and what is made of the reply.
* Managers, which is what everybody uses: commands with a key prefix.
  :class:`~vumi.persist.txredis_manager.TxRedisManager` gives Deferreds,
  :class:`~vumi.persist.redis_manager.RedisManager` blocks.
"""
