"""The dotted names that configurations and applications of old have."""

from __future__ import annotations

from importlib import import_module

import pytest

HERE = "vumi.application.sandbox"

NAMES = {
    HERE: [
        "HttpClientContextFactory", "HttpClientPolicyForHTTPS", "HttpClientResource",
        "JsFileSandbox", "JsSandbox", "JsSandboxConfig", "JsSandboxResource", "LoggingResource",
        "MultiDeferred", "OutboundResource", "RedisResource", "Sandbox", "SandboxApi",
        "SandboxCommand", "SandboxConfig",
        "SandboxError", "SandboxProtocol", "SandboxResource", "SandboxResources",
        "StandaloneJsFileSandbox", "make_context_factory",
    ],
    "vumi.application.sandbox_rlimiter": ["SandboxRlimiter"],
    "vxsandbox": [
        "HttpClientResource", "JsFileSandbox", "JsSandbox", "LoggingResource", "MetricsResource",
        "OutboundResource", "RedisResource", "Sandbox", "SandboxError", "SandboxResource",
    ],
    "vxsandbox.worker": [
        "JsFileSandbox", "JsFileSandboxConfig", "JsSandbox", "JsSandboxConfig",
        "JsSandboxResource", "Sandbox", "SandboxApi", "SandboxConfig", "StandaloneJsFileSandbox",
    ],
    "vxsandbox.protocol": ["SandboxProtocol"],
    "vxsandbox.rlimiter": ["SandboxRlimiter"],
    "vxsandbox.utils": ["SandboxError"],
    "vxsandbox.resources": [
        "HttpClientResource", "LoggingResource", "MetricsResource", "OutboundResource",
        "RedisResource", "SandboxCommand", "SandboxResource", "SandboxResources",
    ],
    "vxsandbox.resources.config": ["FileConfigResource"],
    "vxsandbox.resources.http": [
        "HttpClientContextFactory", "HttpClientPolicyForHTTPS", "HttpClientResource",
        "make_context_factory",
    ],
    "vxsandbox.resources.kv": ["RedisResource"],
    "vxsandbox.resources.logging": ["LoggingResource"],
    "vxsandbox.resources.metrics": ["MetricsResource"],
    "vxsandbox.resources.outbound": ["OutboundResource"],
}  # fmt: skip
CASES = [(module, name) for module, names in NAMES.items() for name in names]


@pytest.mark.parametrize(("module", "name"), CASES)
def test_names_of_old_are_the_objects_here(module: str, name: str) -> None:
    found = import_module(module)
    assert name in found.__all__
    assert getattr(found, name) is getattr(import_module(HERE), name)


def test_the_helpers_of_tests_have_their_names_too() -> None:
    utils = import_module("vxsandbox.utils")
    helpers = import_module("vumi.application.tests.helpers")
    assert utils.find_nodejs_or_skip_test is helpers.find_nodejs_or_skip_test
    assert hasattr(import_module("vxsandbox.resources.tests.utils"), "ResourceTestCaseBase")
    with pytest.raises(AttributeError):
        _ = utils.nonsense
