"""The base of tests of resources, where the package of old has it. Only re-exports."""

from vumi.application.sandbox.resources.tests.utils import DummyAppWorker, ResourceTestCaseBase

__all__ = ["DummyAppWorker", "ResourceTestCaseBase"]
