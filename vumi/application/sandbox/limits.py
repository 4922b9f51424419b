"""How much of the machine a sandboxed program may use: the limits that the kernel keeps.

Knows the limits' names and their defaults. They are applied by
:mod:`vumi.application.sandbox.rlimiter`, in the program's own process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vumi.application.sandbox.rlimiter import limit_number
from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_RLIMITS", "default_rlimits", "merged_rlimits"]

KIB, MIB = 1024, 1024 * 1024

#: Address space and data that Node.js takes besides its heap. Measured on x86-64 Linux: with a
#: heap of 64 MiB, Node.js 20 needs 800 and 128 MiB, 24 and 26 need 1,536 and 640.
AS_BESIDES_HEAP, DATA_BESIDES_HEAP = 1984 * MIB, 704 * MIB
#: The heap that the defaults leave room for, in MiB.
DEFAULT_HEAP_LIMIT = 64


def default_rlimits(heap_limit: int = DEFAULT_HEAP_LIMIT) -> dict[str, tuple[int, int]]:
    """The limits of a program, if the config says nothing else.

    :param heap_limit: How big a script's heap may become, in MiB.
    :returns: Name -> soft and hard limit, in bytes, seconds or numbers.
    """
    values = {
        # A core file of a crashed script would hold users' messages.
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": 60,
        "RLIMIT_FSIZE": 1 * MIB,
        "RLIMIT_DATA": DATA_BESIDES_HEAP + heap_limit * MIB,
        # V8 stops a script at 984 KiB by itself; with less than this it would crash before.
        "RLIMIT_STACK": 2 * MIB,
        "RLIMIT_RSS": 10 * MIB,
        # Node.js 22 and newer start with 24.
        "RLIMIT_NOFILE": 64,
        "RLIMIT_MEMLOCK": 64 * KIB,
        "RLIMIT_AS": AS_BESIDES_HEAP + heap_limit * MIB,
    }
    return {name: (value, value) for name, value in values.items()}


#: The limits with the default heap.
DEFAULT_RLIMITS = default_rlimits()


def merged_rlimits(
    given: Mapping[Any, Any],
    heap_limit: int = DEFAULT_HEAP_LIMIT,
    *,
    for_many_messages: bool = False,
) -> dict[str, tuple[int, int]]:
    """The limits of a program.

    :param given: What the config says: name or number of a limit -> ``[soft, hard]``, -1 for no
        limit. What it leaves out has its default.
    :param heap_limit: How big a script's heap may become, in MiB.
    :param for_many_messages: Whether the program lives for many messages, so that by default its
        processor time is not limited: it adds up.
    :returns: Name or number -> soft and hard limit.
    :raises ConfigError: There is no such limit, or it is no pair of whole numbers.
    """
    limits = default_rlimits(heap_limit)
    if for_many_messages:
        del limits["RLIMIT_CPU"]
    by_number = {limit_number(name): name for name in limits}
    problems = []
    for key, pair in given.items():
        try:
            number = limit_number(key)
        except ValueError as error:
            problems.append(str(error))
            continue
        if not _is_pair(pair):
            problems.append(f"Resource limit {key!r} must be [soft, hard], two whole numbers.")
            continue
        limits.pop(by_number.pop(number, ""), None)
        limits[str(key)] = (int(pair[0]), int(pair[1]))
    if problems:
        raise ConfigError(problems=problems)
    return limits


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(part, int) and not isinstance(part, bool) for part in value)
    )
