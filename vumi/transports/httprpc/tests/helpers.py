"""What a test of an HTTP transport needs. Part of the public test kit.

Requests go over a real socket. To test a provider by tables of cases, without sockets, see
:mod:`vumi.tests.cases`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred

from vumi.errors import VumiError
from vumi.transports.tests.helpers import TransportHelper
from vumi.web.client import http_request_full

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vumi.web.client import HttpResponse

__all__ = ["HttpRpcTransportHelper", "HttpRpcTransportHelperError"]


class HttpRpcTransportHelperError(VumiError):
    """The helper is asked for a request before the transport is there."""


class HttpRpcTransportHelper(TransportHelper):
    """Starts an HTTP transport and sends it requests, on top of what its base does.

    :param transport_class: The transport.
    :param use_riak: Whether it uses Riak.
    :param request_defaults: Parameters that :meth:`mk_request` sends unless they are given.
    :param msg_helper_args: For the :class:`~vumi.tests.helpers.MessageHelper`.
    """

    def __init__(
        self,
        transport_class: type[Any],
        use_riak: bool = False,
        request_defaults: Mapping[str, str] | None = None,
        **msg_helper_args: Any,
    ) -> None:
        super().__init__(transport_class, use_riak=use_riak, **msg_helper_args)
        self.request_defaults: Mapping[str, str] = request_defaults or {}
        #: Where requests go; known once the transport is started.
        self.transport_url: str | None = None

    def get_transport(
        self, config: Mapping[str, Any], cls: type[Any] | None = None, start: bool = True
    ) -> Deferred[Any]:
        """Make a transport, which is stopped after the test.

        :param config: Its config; without a ``web_port`` it gets a free one.
        :param cls: Its class; the helper's if left out.
        :param start: Whether to start it. :attr:`transport_url` is not known otherwise.
        """
        return Deferred.fromCoroutine(self._get_http_transport(config, cls, start))

    async def _get_http_transport(
        self, config: Mapping[str, Any], cls: type[Any] | None, start: bool
    ) -> Any:
        transport = await super().get_transport(config, cls, start)
        if start:
            self.transport_url = transport.get_transport_url(config.get("web_path", ""))
        return transport

    def mk_request_raw(
        self,
        suffix: str = "",
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        method: str = "GET",
    ) -> Deferred[HttpResponse]:
        """Send a request.

        :param suffix: What comes after the transport's path.
        :param params: The query string; a list as value is a parameter several times.
        :param data: The body.
        :returns: Fires with the response; its ``delivered_body`` is bytes.
        :raises HttpRpcTransportHelperError: There is no started transport.
        """
        if self.transport_url is None:
            raise HttpRpcTransportHelperError("Call get_transport() before making a request.")
        url = self.transport_url + suffix
        if params:
            url = f"{url}?{urlencode(params, doseq=True)}"
        return http_request_full(url, data=data, method=method)

    def mk_request(
        self, _suffix: str = "", _data: Any = None, _method: str = "GET", **params: Any
    ) -> Deferred[HttpResponse]:
        """Send a request with the default parameters and these.

        Takes what :meth:`mk_request_raw` takes, and parameters by their names.
        """
        return self.mk_request_raw(
            suffix=_suffix,
            params={**self.request_defaults, **params},
            data=_data,
            method=_method,
        )
