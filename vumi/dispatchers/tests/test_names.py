"""The names by which programs and YAML files know dispatchers and routers."""

from __future__ import annotations

import pytest

from vumi.loading import load_class_by_string

ROUTERS = "vumi.dispatchers.routers"
IN_BASE = {
    "BaseDispatchRouter": "vumi.dispatchers.router",
    "BaseDispatchWorker": "vumi.dispatchers.worker",
    "ContentKeywordRouter": f"{ROUTERS}.content_keyword",
    "FromAddrMultiplexRouter": f"{ROUTERS}.from_addr",
    "RedirectOutboundRouter": f"{ROUTERS}.redirect",
    "RedirectRouter": f"{ROUTERS}.redirect",
    "SimpleDispatchRouter": f"{ROUTERS}.simple",
    "ToAddrRouter": f"{ROUTERS}.to_addr",
    "TransportToTransportRouter": f"{ROUTERS}.transport_to_transport",
    "UserGroupingRouter": f"{ROUTERS}.user_grouping",
}
ELSEWHERE = {
    "vumi.dispatchers.load_balancer.LoadBalancingRouter": f"{ROUTERS}.load_balancing",
    "vumi.dispatchers.endpoint_dispatchers.Dispatcher": "vumi.dispatchers.dispatcher",
    "vumi.dispatchers.endpoint_dispatchers.DispatcherConfig": "vumi.dispatchers.dispatcher",
    "vumi.dispatchers.endpoint_dispatchers.RoutingTableDispatcher": (
        "vumi.dispatchers.routing_table"
    ),
    "vumi.dispatchers.endpoint_dispatchers.RoutingTableDispatcherConfig": (
        "vumi.dispatchers.routing_table"
    ),
}
OLD_NAMES = {
    **{f"vumi.dispatchers.base.{name}": home for name, home in IN_BASE.items()},
    **{f"vumi.dispatchers.{name}": home for name, home in IN_BASE.items()},
    **ELSEWHERE,
}


@pytest.mark.parametrize(("old", "home"), OLD_NAMES.items())
def test_an_old_name_is_the_thing_itself(old: str, home: str) -> None:
    name = old.rpartition(".")[2]
    assert load_class_by_string(old) is load_class_by_string(f"{home}.{name}")


@pytest.mark.parametrize(
    "package",
    [
        "vumi.dispatchers",
        "vumi.dispatchers.base",
        "vumi.dispatchers.load_balancer",
        "vumi.dispatchers.endpoint_dispatchers",
    ],
)
def test_what_a_module_offers_is_there(package: str) -> None:
    for name in load_class_by_string(f"{package}.__all__"):
        load_class_by_string(f"{package}.{name}")
