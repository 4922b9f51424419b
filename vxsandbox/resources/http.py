"""The resource, where the package of old has it. Only re-exports."""

from vumi.application.sandbox import (
    HttpClientContextFactory,
    HttpClientPolicyForHTTPS,
    HttpClientResource,
    make_context_factory,
)

__all__ = [
    "HttpClientContextFactory",
    "HttpClientPolicyForHTTPS",
    "HttpClientResource",
    "make_context_factory",
]
