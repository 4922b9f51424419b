"""The transport that is made by options: a network that is made up, and real ones.

The cases are in ``cases/``; the options of each are the samples in ``config/transports``.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vumi.tests.cases import TransportCases
from vumi.transports.external import ExternalTransport
from vumi.yamlconfig import read_yaml_config

if TYPE_CHECKING:
    from vumi.tests.cases.client import RawRequest

HERE = Path(__file__).parents[1]
SAMPLES = HERE.parents[2] / "config" / "transports"
#: Not of the network, but of where the transport runs.
OF_THE_PLACE = ("transport_name", "twisted_endpoint", "redis_manager", "mt_tps")


def sample(name: str) -> dict[str, Any]:
    """The options of a sample, with secrets that can be found."""
    config = read_yaml_config(SAMPLES / f"{name}.yaml")
    config = {option: value for option, value in config.items() if option not in OF_THE_PLACE}
    config["secrets"] = {key: f"{key}-7c31" for key in config.get("secrets", {})}
    if "web_password" in config:
        config["web_password"] = "web_password-7c31"
    return config


def test_there_is_a_test_of_each_sample() -> None:
    samples = {path.stem for path in (SAMPLES / "external").glob("*.yaml")}
    assert samples == {path.name for path in (HERE / "cases").iterdir() if path.is_dir()}
    tested = {cls.tables.name for cls in OfNetwork.__subclasses__() if cls.tables}
    assert tested == samples


class ExternalTests(TransportCases):
    transport_class = ExternalTransport
    config = sample("external")

    def sign(self, request: RawRequest) -> None:
        mac = hmac.new(b"hook-7c31", request.body, "sha256").hexdigest()
        request.headers.setdefault("X-Pigeon-Signature", f"sha256={mac}")


class OfNetwork(TransportCases):
    """A network that is real."""

    fuzz_examples = 15


class VonageTests(OfNetwork):
    transport_class = ExternalTransport
    tables = HERE / "cases" / "vonage"
    config = sample("external/vonage")


class MessageBirdTests(OfNetwork):
    transport_class = ExternalTransport
    tables = HERE / "cases" / "messagebird"
    config = sample("external/messagebird")


class JasminTests(OfNetwork):
    transport_class = ExternalTransport
    tables = HERE / "cases" / "jasmin"
    config = sample("external/jasmin")


class KannelTests(OfNetwork):
    transport_class = ExternalTransport
    tables = HERE / "cases" / "kannel"
    config = sample("external/kannel")


class MtnTests(OfNetwork):
    transport_class = ExternalTransport
    tables = HERE / "cases" / "mtn"
    config = sample("external/mtn")


class InfobipTests(OfNetwork):
    transport_class = ExternalTransport
    tables = HERE / "cases" / "infobip"
    config = sample("external/infobip")


class AfricasTalkingUssdTests(OfNetwork):
    transport_class = ExternalTransport
    tables = HERE / "cases" / "africas_talking_ussd"
    config = sample("external/africas_talking_ussd")
