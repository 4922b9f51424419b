"""``vumi messages`` on a real SQLite file, as an operator types it."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from vumi.cli.messages.stores import find_store_options
from vumi.components.message_store.tests.test_cache import event, message
from vumi.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

FILL = """
import sys
from twisted.internet import task
from vumi.cli.tests.test_messages import fill
from vumi.components.message_store import MessageStore
from twisted.internet.defer import ensureDeferred

async def main():
    store = await MessageStore.from_config(sys.argv[1])
    await fill(store)
    await store.close()

task.react(lambda reactor: ensureDeferred(main()))
"""


async def fill(store: Any) -> None:
    """A batch ``b``, with conversations of two users."""
    batch_id = await store.batch_start([("pool", "tag")], name="quiz")
    for number, (user, content) in enumerate(
        [("+271", "Hello \x1b[31mred"), ("+272", "=1+1"), ("+271", None)]
    ):
        inbound = message(
            number, message_id=f"in{number}", from_addr=user, to_addr="8864", content=content
        )
        outbound = message(
            number, message_id=f"out{number}", from_addr="8864", to_addr=user, content="hello"
        )
        await store.add_inbound_message(inbound, batch_ids=["b"], batch_id=batch_id)
        await store.add_outbound_message(outbound, batch_ids=["b"])
        about = event(number, "delivery_report.delivered" if number else "ack")
        about["user_message_id"] = f"out{number}"
        await store.add_event(about)


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/messages.db"
    subprocess.run([sys.executable, "-c", FILL, url], check=True, timeout=60)
    return url


def vumi(*arguments: str, typed: str = "", **environment: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "vumi.cli", "messages", *arguments],
        capture_output=True,
        input=typed,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_messages_are_listed_searched_and_shown(url: str) -> None:
    listed = vumi("list", VUMI_MESSAGE_STORE=url)
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    assert lines[0].split() == ["time", "user", "message", "id", "content"]
    assert lines[-1] == "6 messages"
    # A user can't send commands to an operator's terminal.
    assert "\x1b" not in listed.stdout
    assert any("Hello \\x1b[31mred" in line for line in lines)

    found = vumi("search", "hello", "--direction", "inbound", "--store", url)
    assert [line.split()[4] for line in found.stdout.splitlines()[1:-1]] == ["in0"]
    found = vumi("list", "--store", url, "--limit", "2", "--oldest-first")
    assert found.stdout.splitlines()[-1] == "2 messages (at most 2 are shown: --limit)"
    found = vumi("list", "--store", url, "--json", "--status", "ack")
    assert json.loads(found.stdout)["message"]["message_id"] == "out0"
    found = vumi("list", "--store", url, "--tag", "pool:tag", "--address", "+272")
    assert found.stdout.splitlines()[-1] == "1 message"

    shown = vumi("show", "out0", "--store", url)
    assert "batches:    b" in shown.stdout
    assert '"content": "hello"' in shown.stdout
    assert "event:      ack" in shown.stdout
    batches = vumi("batches", "--store", url)
    assert "pool:tag  name=quiz" in batches.stdout


def test_figures(url: str) -> None:
    figures = dict(
        line.rsplit(maxsplit=1) for line in vumi("stats", "b", "--store", url).stdout.splitlines()
    )
    assert figures["inbound"] == figures["outbound"] == figures["event"] == "3"
    assert figures["inbound users"] == "2"
    assert figures["delivery_report.delivered"] == "2"
    figures = vumi("stats", "--store", url).stdout.split()
    assert figures == ["inbound", "3", "outbound", "3", "event", "3"]


def test_export(url: str, tmp_path: Path) -> None:
    done = vumi("export", "--store", url, "--batch", "b")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6
    assert {row["direction"] for row in rows} == {"inbound", "outbound"}
    assert "6 messages exported" in done.stderr

    target = tmp_path / "out.csv"
    vumi("export", "hello", "--store", url, "--format", "csv", "--output", str(target))
    header, *found = csv.reader(io.StringIO(target.read_text("utf-8"), newline=""))
    assert len(found) == 4
    assert header[:3] == ["direction", "timestamp", "message_id"]
    safe = vumi("export", "--store", url, "--format", "csv", "--direction", "inbound").stdout
    raw = vumi(
        "export", "--store", url, "--format", "csv", "--direction", "inbound", "--raw"
    ).stdout
    assert ",'=1+1," in safe
    assert ",=1+1," in raw


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("search", "x"),
        ("show", "m"),
        ("batches",),
        ("stats",),
        ("export",),
        ("delete-before", "2026-01-01", "--yes"),
        ("forget", "+271", "--yes"),
        ("forget", "+271", "--dry-run"),
    ],
)
def test_no_command_makes_an_archive_that_is_not_there(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    missing = vumi(*command, "--store", f"sqlite:///{tmp_path}/nope.db")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "There is no message archive at sqlite:///" in missing.stderr
    assert list(tmp_path.iterdir()) == []
    # A file that is there, but no archive, stays as it is.
    other = tmp_path / "other.db"
    other.touch()
    refused = vumi(*command, "--store", f"sqlite:///{other}")
    assert "There is no message archive at sqlite:///" in refused.stderr
    assert (list(tmp_path.iterdir()), other.read_bytes()) == ([other], b"")


def test_an_export_begins_with_the_oldest(url: str) -> None:
    def times(*options: str) -> list[str]:
        lines = vumi("export", *options, "--store", url).stdout.splitlines()
        return [json.loads(line)["message"]["timestamp"] for line in lines]

    assert len(times()) == 6
    assert times() == sorted(times()) == times("--oldest-first")
    assert times("--newest-first") == sorted(times(), reverse=True)
    both = vumi("export", "--newest-first", "--oldest-first", "--store", url)
    assert both.returncode == 1


def test_forgetting_a_person_asks_first_and_tells_how_much(url: str) -> None:
    dry = vumi("forget", "+271", "--dry-run", "--store", url)
    assert dry.stdout == "6 messages and events would be erased\n", dry.stderr
    refused = vumi("forget", "+271", "--store", url, typed="n\n")
    assert refused.returncode == 1
    assert "Erase 6 messages and events from or to +271 for good?" in refused.stderr
    assert vumi("list", "--store", url).stdout.splitlines()[-1] == "6 messages"
    done = vumi("forget", "+271", "--yes", "--store", url)
    assert done.stdout == "6 messages and events erased\n"
    assert vumi("list", "--store", url).stdout.splitlines()[-1] == "2 messages"
    assert vumi("forget", "+271", "--store", url).stdout == "0 messages and events erased\n"


def test_deleting_what_is_old(url: str) -> None:
    assert vumi("delete-before", "2026-03-29T00:30:01Z", "--dry-run", "--store", url).stdout == (
        "3 messages and events would be erased\n"
    )
    done = vumi("delete-before", "2026-03-29T02:30:01+02:00", "--store", url, typed="y\n")
    assert done.stdout == "3 messages and events erased\n", done.stderr
    assert vumi("show", "in0", "--store", url).returncode == 1


def test_a_workers_configuration_says_where_messages_are(url: str, tmp_path: Path) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text(
        f"""
transport_name: line
middleware:
  - store: vumi.middleware.StoringMiddleware
store:
  message_store: {{url: "{url}"}}
"""
    )
    assert vumi("list", "--config", str(config)).stdout.splitlines()[-1] == "6 messages"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list",), "Which message store?"),
        (("list", "--store", "mysql://u:s3cret@h/d"), "is not the URL"),
        (("list", "--store", "sqlite://", "--start", "soon"), "--start: 'soon' is not a time"),
        (("list", "--store", "sqlite://", "--tag", "x"), "--tag: 'x' is not a tag"),
        (("show", "x", "--store", "sqlite://"), "There is no message 'x'."),
        (("delete-before", "soon", "--store", "sqlite://"), "'soon' is not a time"),
        (("list", "--store", "sqlite:////no/such/folder/x.db"), "/no/such/folder"),
    ],
)
def test_mistakes_end_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = vumi(*arguments, VUMI_MESSAGE_STORE="")
    assert result.returncode == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "s3cret" not in result.stderr


def test_stores_are_found_in_the_sections_of_a_file() -> None:
    config = {
        "workers": {"a": "x", "b": "y"},
        "a": {"store": {"message_store": "sqlite:///a"}},
        "b": {"riak_manager": {"bucket_prefix": "x"}, "redis_manager": {"db": 2}},
        "c": ["message_store"],
    }
    found = list(find_store_options(config))
    assert [options["url"] for options in found] == [
        "sqlite:///a",
        "riak://127.0.0.1:8098/?bucket_prefix=x",
    ]
    assert found[1]["redis_manager"] == {"db": 2}


def test_what_a_terminal_heeds_is_shown_and_not_done() -> None:
    assert printable("a\x1b[2J\u202eb\n\N{SNOWMAN}") == "a\\x1b[2J\\u202eb\\n\N{SNOWMAN}"
