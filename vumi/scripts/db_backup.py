"""``db_backup``: the keys of the key-value store in a file, and from there.

Knows the file: a line of JSON about the backup, then a line for each key with ``type``, ``key``
(without the configuration's prefix), ``value`` and ``ttl`` (seconds, or null). It is that of the
old Vumi. Bytes that are no UTF-8 are in it as lone surrogates.

``python -m vumi.scripts.db_backup --help`` tells how it is used.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

import vumi
from vumi.config import Config
from vumi.errors import ConfigError
from vumi.linear_regex import LinearRegex, PatternError
from vumi.persist.config import ConfigRedis, RedisConfig
from vumi.persist.redis_manager import RedisManager
from vumi.scripts.old_style import OldStyleGroup
from vumi.scripts.vumi_redis_tools import matching_keys
from vumi.yamlconfig import read_yaml_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TextIO

__all__ = ["main", "migrated", "read_records", "read_rules", "restore_record"]

FORMAT = "LF separated JSON"
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
#: Entries per command.
CHUNK = 500


class BackupConfig(Config):
    """The configuration file of ``db_backup``."""

    redis_manager = ConfigRedis("Where the keys are.", required=True, static=True)


# Between keys and records


def _read_zset(redis: Any, key: str) -> list[list[Any]]:
    return [list(pair) for pair in redis.zrange(key, 0, -1, withscores=True)]


#: Type of a key -> what reads its value.
READERS: dict[str, Callable[[Any, str], Any]] = {
    "string": lambda redis, key: redis.get(key),
    "list": lambda redis, key: redis.lrange(key, 0, -1),
    "set": lambda redis, key: sorted(redis.smembers(key)),
    "hash": lambda redis, key: redis.hgetall(key),
    "zset": _read_zset,
}


def _chunks(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]


def _write_list(redis: Any, key: str, value: list[str]) -> None:
    for item in value:
        redis.rpush(key, item)


def _write_set(redis: Any, key: str, value: list[str]) -> None:
    for some in _chunks(value):
        redis.sadd(key, *some)


def _write_hash(redis: Any, key: str, value: dict[str, str]) -> None:
    for some in _chunks(list(value.items())):
        redis.hmset(key, dict(some))


def _write_zset(redis: Any, key: str, value: list[list[Any]]) -> None:
    for some in _chunks(value):
        redis.zadd(key, dict(some))


WRITERS: dict[str, Callable[[Any, str, Any], None]] = {
    "string": lambda redis, key, value: redis.set(key, value),
    "list": _write_list,
    "set": _write_set,
    "hash": _write_hash,
    "zset": _write_zset,
}


def _record(redis: Any, key: str) -> dict[str, Any] | None:
    """A key's record; ``None`` if it is gone meanwhile."""
    kind = redis.type(key)
    read = READERS.get(kind)
    if read is None:
        if kind != "none":
            click.echo(f"Left out, as it is a {kind}: {key}", err=True)
        return None
    value = read(redis, key)
    if not value and value != "":
        return None
    return {"type": kind, "key": key, "value": value, "ttl": redis.ttl(key)}


def restore_record(redis: Any, record: dict[str, Any], elapsed: float | None) -> bool:
    """Write a record's key, in the place of what is there.

    :param elapsed: Seconds since the backup, which are taken from what it had to live; ``None``:
        nothing is taken.
    :returns: Whether it was written: it isn't if its time is over.
    """
    ttl = record.get("ttl")
    if ttl is not None and elapsed is not None:
        ttl = int(ttl - elapsed)
        if ttl <= 0:
            return False
    # A list would get its items once more.
    redis.delete(record["key"])
    WRITERS[record["type"]](redis, record["key"], record["value"])
    if ttl is not None:
        redis.expire(record["key"], ttl)
    return True


# The file


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True) + "\n"


def _header(config: dict[str, Any], is_sorted: bool) -> dict[str, Any]:
    settings = RedisConfig(config)
    return {
        "vumi_version": vumi.__version__,
        "format": FORMAT,
        "backup_type": "redis",
        "timestamp": datetime.now(UTC).strftime(DATE_FORMAT),
        "sorted": is_sorted,
        # Not all of the options: among them may be a password.
        "redis_config": {"address": str(settings.address), "key_prefix": settings.key_prefix},
    }


def _read_header(file: TextIO) -> dict[str, Any]:
    try:
        header = json.loads(file.readline())
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ConfigError(f"{file.name} is not a backup: its first line does not say {FORMAT!r}.")
    return header


def read_records(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The records in a file's lines; those that can't be read are told and left out."""
    for number, line in enumerate(lines, 2):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if _is_record(record):
            yield record
        else:
            click.echo(f"Line {number} left out, as it can't be read", err=True)


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and isinstance(record.get("key"), str)
        and record.get("type") in WRITERS
        and "value" in record
        and isinstance(record.get("ttl"), int | float | None)
    )


# The commands


@click.group(
    "db_backup",
    cls=OldStyleGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: python -m vumi.scripts.db_backup backup redis.yaml backup.json",
)
def main() -> None:
    """Back up and restore the keys of the Redis that CONFIG's redis_manager names."""


config_argument = click.argument("config", type=click.Path(dir_okay=False))
input_argument = click.argument("source", metavar="IN", type=click.File("r", encoding="utf-8"))
output_argument = click.argument("target", metavar="OUT", type=click.File("w", encoding="utf-8"))


def _config(path: str) -> dict[str, Any]:
    config = BackupConfig(read_yaml_config(path, optional=False), static=True)
    options: dict[str, Any] = config.redis_manager
    return options


@main.command(epilog="Example: python -m vumi.scripts.db_backup backup redis.yaml backup.json")
@config_argument
@output_argument
@click.option("--not-sorted", is_flag=True, help="Don't sort the keys: takes less memory.")
def backup(config: str, target: TextIO, not_sorted: bool) -> None:
    """Write all keys under the key_prefix to a file.

    Redis goes on serving others meanwhile, so what changes meanwhile is in the file or not.
    """
    options = _config(config)
    redis: Any = RedisManager.from_config(options)
    try:
        target.write(_line(_header(options, not not_sorted)))
        keys: Iterable[str] = matching_keys(redis, "*")
        count = 0
        for key in keys if not_sorted else sorted(set(keys)):
            record = _record(redis, key)
            if record is not None:
                target.write(_line(record))
                count += 1
    finally:
        redis.close_manager()
    click.echo(f"{count} keys backed up", err=True)


@main.command(epilog="Example: python -m vumi.scripts.db_backup restore redis.yaml backup.json")
@config_argument
@input_argument
@click.option("--purge", is_flag=True, help="First delete all keys under the key_prefix.")
@click.option("--frozen-ttls", is_flag=True, help="Let keys live as long as they had to then.")
def restore(config: str, source: TextIO, purge: bool, frozen_ttls: bool) -> None:
    """Write the keys of a file to Redis; keys that are there are replaced."""
    header = _read_header(source)
    elapsed = None if frozen_ttls else max(time.time() - _backed_up_at(header, source), 0)
    redis: Any = RedisManager.from_config(_config(config))
    restored = expired = 0
    try:
        if purge:
            redis._purge_all()
        for record in read_records(source):
            if restore_record(redis, record, elapsed):
                restored += 1
            else:
                expired += 1
    finally:
        redis.close_manager()
    click.echo(f"{restored} keys restored, {expired} left out as their time is over", err=True)


def _backed_up_at(header: dict[str, Any], source: TextIO) -> float:
    try:
        made = datetime.fromisoformat(str(header.get("timestamp"))).replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(
            f"{source.name} does not say when it was made: restore it with --frozen-ttls."
        ) from None
    return made.timestamp()


@main.command(epilog="Example: python -m vumi.scripts.db_backup migrate rules.yaml a.json b.json")
@click.argument("rules", type=click.Path(dir_okay=False))
@input_argument
@output_argument
def migrate(rules: str, source: TextIO, target: TextIO) -> None:
    """Rename and drop keys of a file, into another file.

    RULES is YAML: rules: [{type: drop, key: REGEX}, {type: rename, from: REGEX, to: TEMPLATE}].
    The first rule whose expression fits a key from its start counts.
    """
    known = read_rules(read_yaml_config(rules, optional=False))
    target.write(_line(_read_header(source)))
    kept = dropped = 0
    for record in read_records(source):
        changed = migrated(record, known)
        if changed is None:
            dropped += 1
        else:
            target.write(_line(changed))
            kept += 1
    click.echo(f"{kept} keys kept, {dropped} dropped", err=True)


@dataclass(frozen=True)
class Rule:
    """What is to become of some keys.

    :param template: The new key, as :meth:`re.Match.expand` takes it; ``None``: it is dropped.
    """

    pattern: re.Pattern[str]
    template: str | None = None


#: Type of a rule -> the option with its expression, and the one with its template.
RULE_OPTIONS: dict[str, tuple[str, str | None]] = {"drop": ("key", None), "rename": ("from", "to")}


def read_rules(config: Any) -> list[Rule]:
    """Read a file of rules.

    :raises ConfigError: It has none, or one that is wrong.
    """
    rules = config.get("rules")
    if not isinstance(rules, list):
        raise ConfigError("A file of rules has a list named rules.")
    return [_rule(number, options) for number, options in enumerate(rules, 1)]


def _rule(number: int, options: Any) -> Rule:
    names = RULE_OPTIONS.get(str(options.get("type"))) if isinstance(options, dict) else None
    if names is None:
        raise ConfigError(f"Rule {number} has no type that is known: {', '.join(RULE_OPTIONS)}.")
    for name in names:
        if name is not None and not isinstance(options.get(name), str):
            raise ConfigError(f"Rule {number} must have the text {name!r}.")
    expression, template = names
    try:
        pattern = re.compile(options[expression])
    except re.error as error:
        raise ConfigError(f"Rule {number}: {error}.") from None
    return Rule(pattern, None if template is None else options[template])


def migrated(record: dict[str, Any], rules: Iterable[Rule]) -> dict[str, Any] | None:
    """What rules make of a record.

    :returns: ``None`` if it is dropped.
    """
    for rule in rules:
        match = rule.pattern.match(record["key"])
        if match is None:
            continue
        if rule.template is None:
            return None
        rest = record["key"][match.end() :]
        return {**record, "key": match.expand(rule.template) + rest}
    return record


@main.command(epilog="Example: python -m vumi.scripts.db_backup analyze backup.json")
@input_argument
@click.option(
    "-s", "--separators", default="[:#]", show_default=True, help="What separates parts of a key."
)
def analyze(source: TextIO, separators: str) -> None:
    """Show how many keys of a file begin alike, part by part."""
    _read_header(source)
    try:
        separator = LinearRegex(separators)
    except PatternError as error:
        raise ConfigError(f"--separators is not a regular expression: {error}.") from None
    counts: Counter[tuple[str, ...]] = Counter()
    for record in read_records(source):
        parts = separator.split(record["key"])
        for length in range(1, len(parts) + 1):
            counts[tuple(parts[:length])] += 1
    for beginning, count in sorted(counts.items()):
        # A key of its own says nothing about others.
        if count > 1 or len(beginning) == 1:
            click.echo(f"{'  ' * (len(beginning) - 1)}{beginning[-1]} ({count})")


if __name__ == "__main__":
    main()
