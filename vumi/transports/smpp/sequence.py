"""Numbers that several processes count up together: sequence numbers, message references.

Knows a counter in the key-value store, of which each process takes whole blocks, so that a number
costs no round trip. Knows no PDU.

A block is taken by one script, which Redis executes as a whole: two processes never get the same
one, and a process that starts again gets a new one. What was left of a block is lost, which does
no harm: the numbers only have to differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from vumi.tasks import deferred, on_outcome

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

__all__ = ["MAX_REFERENCE", "MAX_SEQUENCE", "RedisSequence"]

#: The highest sequence number (SMPP 3.4, section 3.2).
MAX_SEQUENCE = 0x7FFFFFFF
#: The highest message reference number (sar_msg_ref_num, 5.3.2.22).
MAX_REFERENCE = 0xFFFF

DEFAULT_BLOCK = 1000
#: Seconds until a block that could not be had is asked for again.
RETRY_SECONDS = 1.0

#: KEYS: the counter. ARGV: the block's size, the highest number. Gives the block's first number.
#: An old counter may be beyond the highest: then, too, it starts anew.
TAKE_BLOCK = """
local last = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
local size, highest = tonumber(ARGV[1]), tonumber(ARGV[2])
if last + size > highest then last = 0 end
redis.call('SET', KEYS[1], string.format('%.0f', last + size))
return last + 1
"""


class RedisSequence:
    """Counts from 1 to the highest number and over again.

    :param redis: The manager with the counter's key.
    :param clock: Times another attempt when the store is away.
    :param key: The counter's key.
    :param highest: After it comes 1.
    :param block: How many numbers are taken from the store at a time. More than are in use at a
        time: while the store is away, the numbers of the last block are used again.
    """

    log = Logger()

    def __init__(
        self,
        redis: Any,
        clock: IReactorTime,
        key: str = "smpp_last_sequence_number",
        highest: int = MAX_SEQUENCE,
        block: int = DEFAULT_BLOCK,
    ) -> None:
        self._key = key
        self._clock = clock
        self._highest = highest
        self._block = min(block, highest)
        self._low_water = self._block // 2
        # Sent again after a lost connection: at worst a block is passed over.
        self._take_block = redis.script(TAKE_BLOCK, repeatable=True)
        self._first = 0
        self._next = 0
        self._end = 0
        self._following: int | None = None
        self._asking = False
        self._stopped = False
        self._retry: Any = None

    @deferred
    async def start(self) -> None:
        """Take the first block.

        :returns: Fires when there are numbers.
        :raises StoreError: There is no block to be had.
        """
        self._begin(await self._take_block([self._key], [self._block, self._highest]))

    def stop(self) -> None:
        """Ask for no more blocks."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def take(self) -> int:
        """The next number. Never waits.

        Only to be called after :meth:`start`.
        """
        number = self._next
        if number >= self._end:
            self._next_block()
            number = self._next
        self._next = number + 1
        if self._end - number <= self._low_water and self._following is None and not self._asking:
            self._ask()
        return number

    def _begin(self, first: int) -> None:
        self._first = self._next = first
        self._end = first + self._block

    def _next_block(self) -> None:
        if not self._first:
            raise RuntimeError("A sequence gives numbers only once it is started.")
        if self._following is None:
            self.log.warn(
                "No new block of numbers from Redis ({key}); the last one is used again",
                event="sequence-reused",
                key=self._key,
            )
            self._begin(self._first)
        else:
            self._begin(self._following)
            self._following = None

    def _ask(self) -> None:
        if self._stopped:
            return
        self._asking = True
        self._retry = None
        taking = self._take_block([self._key], [self._block, self._highest])
        on_outcome(taking, self._got, self._failed)

    def _got(self, first: int) -> None:
        self._asking = False
        self._following = first

    def _failed(self, failure: Failure) -> None:
        if not self._stopped:
            self.log.warn(
                "No block of numbers from Redis ({key}): {reason}",
                event="sequence-unavailable",
                key=self._key,
                reason=failure.getErrorMessage(),
            )
            self._retry = self._clock.callLater(RETRY_SECONDS, self._ask)
