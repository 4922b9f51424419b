"""The simulator beside other workers, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import vumi as package
from vumi.checking import check_worker
from vumi.config import ConfigError
from vumi.tests.servers import free_port
from vumi.transports.smpp.simulator import SmscWorker
from vumi.transports.smpp.tests.processes import wait_for

ROOT = Path(package.__file__).parents[1]
SAMPLE = ROOT / "config" / "smpp-trial.yaml"


@pytest.mark.integration
@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample files are in the source tree only")
def test_a_whole_trial_in_one_process(tmp_path: Path) -> None:
    """A phone, the SMSC, the transport and an application: the sample, on other ports."""
    smpp, http = free_port(), free_port()
    text = SAMPLE.read_text().replace("2775", str(smpp)).replace("2776", str(http))
    changed = tmp_path / "trial.yaml"
    changed.write_text(text)
    log = tmp_path / "log"

    def ask(path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{http}/{path}"
        with suppress(URLError), urlopen(url, data, timeout=20) as answer:
            return json.loads(answer.read())
        return None

    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vumi.cli", "run", str(changed)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: ask("binds"), log.read_text)
        said = {"from": "+27831234567", "to": "8080", "text": "hello"}
        assert ask("mo", said) == {"statuses": ["ESME_ROK"]}
        [reply] = wait_for(lambda: ask("messages"), log.read_text)
        assert (reply["from"], reply["to"], reply["text"]) == ("8080", "+27831234567", "hello")
    finally:
        process.terminate()
        status = process.wait(30)
    assert status == 0, log.read_text()


def test_the_options_of_a_script_are_those_of_the_worker_too() -> None:
    check_worker(SmscWorker, {"port": 2775, "rules": [{"lose": True}]})
    with pytest.raises(ConfigError, match="Rule 1 does nothing"):
        SmscWorker({}, {"port": 2775, "rules": [{}]})
