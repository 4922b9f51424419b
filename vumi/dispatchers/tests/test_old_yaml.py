"""Configurations as users of the old Vumi have them: no change is needed, no warning given."""

from __future__ import annotations

import pytest
import yaml

from vumi.checking import Findings, check_worker, load_worker_class

BASE = "vumi.dispatchers.BaseDispatchWorker"
OLD_BASE = "vumi.dispatchers.base.BaseDispatchWorker"
TABLE = "vumi.dispatchers.endpoint_dispatchers.RoutingTableDispatcher"

FILES = {
    "names by themselves where lists are meant": (
        BASE,
        """
        dispatcher_name: my_dispatcher
        router_class: vumi.dispatchers.SimpleDispatchRouter
        transport_names:
          - ussd_line
          - sms_line
        exposed_names:
          - menu
          - quiz
        route_mappings:
          ussd_line: menu
          sms_line: quiz
        """,
    ),
    "a transport name that is mapped": (
        OLD_BASE,
        """
        router_class: vumi.dispatchers.base.SimpleDispatchRouter
        transport_names: [smpp_a]
        exposed_names: [quiz]
        route_mappings: {smpp_a: [quiz], elsewhere: [quiz]}
        transport_mappings: {elsewhere: smpp_a}
        amqp_prefetch_count: 5
        middleware:
          - log: vumi.middleware.logging.LoggingMiddleware
        log: {log_level: debug}
        """,
    ),
    "keywords": (
        BASE,
        """
        dispatcher_name: keyword_dispatcher
        router_class: vumi.dispatchers.ContentKeywordRouter
        transport_names: [sms_ke, sms_tz]
        exposed_names: [register, vote, other]
        rules:
          - app: register
            keyword: Reg
            to_addr: "15100"
            prefix: "+254"
        keyword_mappings:
          vote: vote
        fallback_application: other
        transport_mappings:
          "15100": sms_ke
          "15200": sms_tz
        redis_manager: {host: 10.0.0.5, db: 3, key_prefix: routing}
        expire_routing_memory: 86400
        """,
    ),
    "groups": (
        BASE,
        """
        dispatcher_name: split
        router_class: vumi.dispatchers.UserGroupingRouter
        transport_names: [ussd]
        exposed_names: [old_menu, new_menu]
        group_mappings: {control: old_menu, test: new_menu}
        route_mappings: {ussd: [old_menu, new_menu]}
        redis_manager: {}
        """,
    ),
    "addresses": (
        BASE,
        r"""
        router_class: vumi.dispatchers.ToAddrRouter
        transport_names: [ussd]
        exposed_names: [one, two]
        toaddr_mappings:
          one: ^\*120\*1#$
          two: ^\*120\*2
        """,
    ),
    "several accounts": (
        BASE,
        """
        router_class: vumi.dispatchers.FromAddrMultiplexRouter
        transport_names: [xmpp_1, xmpp_2]
        exposed_names: [xmpp]
        fromaddr_mappings:
          one@example.net: xmpp_1
          two@example.net: xmpp_2
        """,
    ),
    "another way out": (
        OLD_BASE,
        """
        router_class: vumi.dispatchers.base.RedirectOutboundRouter
        transport_names: [mo, mt]
        exposed_names: [quiz]
        redirect_outbound: {mo: mt, quiz: mt}
        redirect_inbound: {mo: quiz, mt: quiz}
        """,
    ),
    "a load balancer by the documentation's spelling": (
        BASE,
        """
        router_class: vumi.dispatchers.load_balancer.LoadBalancingRouter
        transport_names: [bind_1, bind_2]
        exposed_names: [smsc]
        reply_affinity: false
        rewrite_transport_name: true
        """,
    ),
    "from one transport to another": (
        BASE,
        """
        router_class: vumi.dispatchers.TransportToTransportRouter
        transport_names: [xmpp, sms]
        exposed_names: []
        route_mappings: {xmpp: [sms], sms: [xmpp]}
        """,
    ),
    "a table": (
        TABLE,
        """
        worker_name: table
        receive_inbound_connectors: [sms, ussd]
        receive_outbound_connectors: [menu]
        routing_table:
          sms:
            default: [menu, sms]
          ussd:
            default: [menu, default]
          menu:
            sms: [sms, default]
            default: [ussd, default]
        """,
    ),
}


@pytest.mark.parametrize(("class_path", "text"), FILES.values(), ids=FILES)
def test_an_old_file_is_all_right(class_path: str, text: str) -> None:
    config = yaml.safe_load(text)
    assert check_worker(load_worker_class(class_path), config) == Findings()
