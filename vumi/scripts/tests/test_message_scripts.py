"""The old scripts about messages, on a SQLite file, as an operator's own scripts call them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from vumi.cli.tests.test_messages import FILL

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("store")
    url = f"sqlite:///{folder}/messages.db"
    subprocess.run([sys.executable, "-c", FILL, url], check=True, timeout=60)
    return url


def script(name: str, *arguments: str, **environment: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", f"vumi.scripts.{name}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_batchs_messages_are_listed_with_dates_and_addresses(url: str) -> None:
    listed = script(
        *("vumi_list_messages", "--batch", "b", "--direction", "outbound"),
        *("--store", url, "--index-page-size", "2"),
    )
    assert listed.stdout.splitlines() == [
        "2026-03-29 00:30:00.000000,+271,out0",
        "2026-03-29 00:30:01.000000,+272,out1",
        "2026-03-29 00:30:02.000000,+271,out2",
    ], listed.stderr


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("-m", "vumi.components.message_store.InboundMessage"), 3),
        (("-m", "Batch"), 1),
        (("-m", "Event", "--index-field", "batches", "--index-value", "b"), 3),
        (("-m", "Event", "--index-field", "batches", "--index-value", "c"), 0),
        (
            (
                *("-m", "OutboundMessage", "--index-field", "batches_with_addresses"),
                *("--index-value", "b$2026-03-29 00:30:01"),
                *("--index-value-end", "b$2026-03-29 00:30:02"),
            ),
            2,
        ),
        (
            (
                *("-m", "OutboundMessage", "--index-field", "batches_with_addresses"),
                *("--index-value", "b", "--index-value-end", "b"),
                *("--index-value-regex", r".*\$\+271"),
            ),
            2,
        ),
    ],
)
def test_objects_are_counted(url: str, arguments: tuple[str, ...], count: int) -> None:
    counted = script("vumi_count_models", *arguments, VUMI_MESSAGE_STORE=url)
    assert counted.stdout == f"Done, {count} objects found.\n", counted.stderr


def test_objects_are_written_again_in_pages(url: str) -> None:
    rewritten = script(
        *("vumi_model_migrator", "-m", "OutboundMessage", "--store", url),
        *("--index-page-size", "2"),
    )
    first, last = rewritten.stdout.splitlines()
    assert last == "Done, 3 objects migrated.", rewritten.stderr
    token = first.removeprefix("Continuation token: ")
    rest = script(
        *("vumi_model_migrator", "-m", "OutboundMessage", "--store", url, "--dry-run"),
        *("--index-page-size", "2", "--continuation-token", token),
    )
    assert rest.stdout == "Done, 1 objects would be migrated.\n"
    some = script("vumi_model_migrator", "-m", "Event", "--store", url, "--keys", "e0,e1,e9")
    assert some.stdout == "Done, 2 objects migrated.\n"


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("vumi_list_messages", (), "Missing option '--batch'"),
        ("vumi_list_messages", ("--batch", "b", "--direction", "up"), "'up' is not one of"),
        ("vumi_list_messages", ("--batch", "b", "--direction", "inbound"), "Which message store"),
        ("vumi_count_models", ("-m", "Nothing"), "but no 'Nothing'"),
        ("vumi_count_models", ("-m", "Event", "--index-field", "x"), "needs --index-value"),
        ("vumi_count_models", ("-m", "Event", "--index-value", "x"), "needs --index-field"),
        ("vumi_model_migrator", ("-m", "Event"), "give --keys"),
    ],
)
def test_mistakes_end_as_they_always_have(
    name: str, arguments: tuple[str, ...], words: str
) -> None:
    result = script(name, *arguments, VUMI_MESSAGE_STORE="")
    assert result.returncode == 1
    assert result.stderr.startswith(f"{name}: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
