"""The transports' options, in their new and their old forms, and the names of the classes."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from vumi.config import ConfigError
from vumi.transports.smpp.config import SmppTransportConfig
from vumi.transports.smpp.constants import CommandStatus
from vumi.transports.smpp.deprecated import transport as deprecated
from vumi.transports.smpp.old_config import nested_config
from vumi.transports.smpp.processors import SubmitShortMessageProcessorConfig
from vumi.transports.smpp.smpp import (
    SmppReceiverTransport,
    SmppTransceiverTransport,
    SmppTransceiverTransportWithOldConfig,
    SmppTransmitterTransport,
)
from vumi.transports.smpp.text import SplitMode
from vumi.transports.smpp.transitions import BindType

NEEDED: dict[str, Any] = {
    "transport_name": "smpp",
    "twisted_endpoint": "tcp:host=127.0.0.1:port=2775",
    "system_id": "me",
    "password": "secret",
}


def make(cls: Any = SmppTransceiverTransport, **config: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return cls({}, {**NEEDED, **config})


DEFAULTS = [
    ("system_type", ""),
    ("interface_version", "34"),
    ("address_range", ""),
    ("service_type", ""),
    ("source_addr_ton", 0),
    ("source_addr_npi", 0),
    ("dest_addr_ton", 0),
    ("dest_addr_npi", 1),
    ("registered_delivery", True),
    ("smpp_bind_timeout", 30),
    ("smpp_enquire_link_interval", 55),
    ("initial_reconnect_delay", 5),
    ("throttle_delay", 0.1),
    ("mt_tps", 0),
    ("submit_sm_expiry", 86400),
    ("third_party_id_expiry", 604800),
    ("final_dr_third_party_id_expiry", 3600),
    ("completed_multipart_info_expiry", 3600),
    ("deliver_sm_decoding_error", CommandStatus.ESME_RDELIVERYFAILURE),
    ("disable_ack", False),
    ("disable_delivery_report", False),
    ("split_bind_prefix", ""),
    ("redis_prefix", "me@smpp"),
]


@pytest.mark.parametrize(("name", "default"), DEFAULTS)
def test_defaults_are_those_of_the_old_vumi(name: str, default: Any) -> None:
    assert getattr(SmppTransportConfig(dict(NEEDED), static=True), name) == default


MISTAKES = [
    ("interface_version", {"interface_version": "x"}, "interface_version"),
    ("status", {"deliver_sm_decoding_error": "ESME_RNOSUCH"}, "deliver_sm_decoding_error"),
    ("action", {"status_actions": {"ESME_RSYSERR": "wait"}}, "status_actions"),
    ("status of an action", {"status_actions": {"RSYSERR": "retry"}}, "status_actions"),
    ("rule without match", {"dest_addr_rules": [{"ton": 1}]}, "dest_addr_rules"),
    ("rule with a bad regex", {"dest_addr_rules": [{"match": "("}]}, "dest_addr_rules"),
    ("rule with a typo", {"dest_addr_rules": [{"match": "1", "tno": 1}]}, "tno"),
    ("window", {"window_size": 0}, "window_size"),
    ("binds", {"binds": 0}, "binds"),
    ("negative time", {"submit_sm_resp_timeout": -1}, "submit_sm_resp_timeout"),
    ("id format", {"remote_id_format": "octal"}, "remote_id_format"),
    ("processor", {"delivery_report_processor": "vumi.codecs.VumiCodec"}, "IDeliveryReport"),
    (
        "override",
        {"deliver_short_message_processor_config": {"data_coding_overrides": {"x": "ascii"}}},
        "deliver_short_message_processor_config: Field 'data_coding_overrides'",
    ),
    (
        "two ways of sending long messages",
        {
            "submit_short_message_processor_config": {
                "send_multipart_udh": True,
                "send_multipart_sar": True,
            }
        },
        "The following parameters are mutually exclusive: send_multipart_sar, send_multipart_udh",
    ),
    (
        "regex without its groups",
        {"delivery_report_processor_config": {"delivery_report_regex": "id:(?P<id>.*)"}},
        "stat",
    ),
    (
        "a status that is none",
        {"delivery_report_processor_config": {"delivery_report_status_mapping": {"A": "ok"}}},
        "delivery_report_status_mapping",
    ),
]


@pytest.mark.parametrize(
    ("config", "words"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES]
)
def test_mistakes_are_found_before_the_start(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=r".*") as caught:
        SmppTransceiverTransport.check_config({**NEEDED, **config})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, None),
        ({"submit_sm_encoding": "auto"}, None),
        ({"submit_sm_encoding": "AUTO"}, None),
        ({"submit_sm_encoding": "utf-8"}, "'submit_sm_encoding' is 'utf-8'"),
        ({"submit_sm_encoding": "latin-1"}, "data coding 0"),
        ({"submit_sm_encoding": "utf-8", "submit_sm_data_coding": 8}, "data coding 8"),
        ({"submit_sm_encoding": "UTF-16BE", "submit_sm_data_coding": 8}, None),
        ({"submit_sm_encoding": "gsm0338"}, None),
        ({"submit_sm_data_coding": 8}, "is ignored"),
    ],
)
def test_encodings_that_show_wrong_letters_are_warned_about(
    options: dict[str, Any], words: str | None
) -> None:
    found = SmppTransceiverTransport.check_config(
        {**NEEDED, "submit_short_message_processor_config": options}
    )
    about = [hint for hint in found if "submit_short_message" in hint]
    assert [words in hint for hint in about if words] == ([] if words is None else [True]), found
    assert words is not None or not about


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        SmppTransceiverTransport.check_config(
            {
                **NEEDED,
                "deliver_short_message_processor_config": {"data_coding_overrides": {"x": "y"}},
                "delivery_report_processor_config": {"delivery_report_regex": "x"},
            }
        )
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("switch", "mode"),
    [
        ({}, None),
        ({"send_long_messages": True}, SplitMode.PAYLOAD),
        ({"send_multipart_sar": True}, SplitMode.SAR),
        ({"send_multipart_udh": True}, SplitMode.UDH8),
        ({"long_messages": "udh16"}, SplitMode.UDH16),
        ({"long_messages": "none"}, SplitMode.NONE),
    ],
)
def test_ways_of_sending_long_messages(switch: dict[str, Any], mode: SplitMode | None) -> None:
    assert SubmitShortMessageProcessorConfig(switch, static=True).split_mode is mode


class TestDerived(SynchronousTestCase):
    def test_enough_messages_are_handled_at_a_time_to_fill_the_windows(self) -> None:
        transport = make(window_size=100, binds=2)
        self.assertEqual((transport.worker_concurrency, transport.amqp_prefetch_count), (400, 800))
        self.assertEqual(transport.handler_timeout, 0)

    def test_what_is_configured_wins(self) -> None:
        transport = make(worker_concurrency=5, amqp_prefetch_count=7, handler_timeout=3)
        self.assertEqual((transport.worker_concurrency, transport.amqp_prefetch_count), (5, 7))
        self.assertEqual(transport.handler_timeout, 3)

    def test_a_long_password_is_cut_unless_told_not_to(self) -> None:
        for truncate, password in ((True, "12345678"), (False, "123456789")):
            config = SmppTransportConfig(
                {**NEEDED, "password": "123456789", "truncate_password": truncate}, static=True
            )
            self.assertEqual(config.session_settings(BindType.TRX).password, password)

    def test_the_password_is_shown_nowhere(self) -> None:
        config = SmppTransportConfig({**NEEDED, "password": "s3cr3tpw"}, static=True)
        self.assertNotIn("s3cr3tpw", repr(config) + config.scrub("bind with s3cr3tpw failed"))


class TestOldConfig(SynchronousTestCase):
    OLD = {  # noqa: RUF012 (not changed)
        "system_id": "me",
        "delivery_report_regex": r"(?P<id>\d+)(?P<stat>\w+)",
        "submit_sm_encoding": "latin-1",
        "submit_sm_data_coding": 3,
        "send_multipart_udh": True,
        "data_coding_overrides": {0: "utf-8"},
        "mt_tps": 5,
        "submit_short_message_processor": "some.Class",
    }

    def test_options_move_to_their_processors(self) -> None:
        self.assertEqual(
            nested_config(self.OLD),
            {
                "system_id": "me",
                "mt_tps": 5,
                "delivery_report_processor_config": {
                    "delivery_report_regex": self.OLD["delivery_report_regex"]
                },
                "submit_short_message_processor_config": {
                    "submit_sm_encoding": "latin-1",
                    "submit_sm_data_coding": 3,
                    "send_multipart_udh": True,
                },
                "deliver_short_message_processor_config": {"data_coding_overrides": {0: "utf-8"}},
            },
        )

    def test_what_is_where_it_belongs_wins(self) -> None:
        nested = nested_config(
            {
                "submit_sm_encoding": "latin-1",
                "submit_short_message_processor_config": {"submit_sm_encoding": "ucs2"},
            }
        )
        self.assertEqual(
            nested["submit_short_message_processor_config"], {"submit_sm_encoding": "ucs2"}
        )

    def test_the_transport_takes_it_and_says_that_it_is_old(self) -> None:
        with pytest.warns(PendingDeprecationWarning):
            transport = SmppTransceiverTransportWithOldConfig(
                {}, {**NEEDED, "submit_sm_encoding": "latin-1", "OPERATOR_PREFIX": {}}
            )
        options = transport.get_static_config().submit_short_message_processor_config
        self.assertEqual(options, {"submit_sm_encoding": "latin-1"})

    def test_no_option_of_it_is_unknown(self) -> None:
        config = {**NEEDED, **self.OLD, "COUNTRY_CODE": "27", "OPERATOR_NUMBER": {}}
        config.pop("submit_short_message_processor")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            found = SmppTransceiverTransportWithOldConfig.check_config(config)
        self.assertEqual(found, [])

    def test_a_mistake_in_it_is_found(self) -> None:
        with (
            warnings.catch_warnings(),
            self.assertRaises(ConfigError),
        ):
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            SmppTransceiverTransportWithOldConfig.check_config(
                {**NEEDED, "data_coding_overrides": {"x": "ascii"}}
            )


PATHS = {
    "vumi.transports.smpp": (
        "SmppTransceiverTransport",
        "SmppReceiverTransport",
        "SmppTransmitterTransport",
        "SmppTransport",
    ),
    "vumi.transports.smpp.smpp_transport": (
        "SmppTransceiverTransport",
        "SmppReceiverTransport",
        "SmppTransmitterTransport",
        "SmppTransceiverTransportWithOldConfig",
        "SmppMessageDataStash",
    ),
    "vumi.transports.smpp.deprecated.transport": (
        "SmppTransport",
        "SmppTxTransport",
        "SmppRxTransport",
    ),
    "vumi.transports.smpp.deprecated.service": ("SmppService",),
    **{
        f"vumi.transports.smpp.processors{module}": (
            "DeliveryReportProcessor",
            "DeliveryReportProcessorConfig",
            "DeliverShortMessageProcessor",
            "DeliverShortMessageProcessorConfig",
            "SubmitShortMessageProcessor",
            "SubmitShortMessageProcessorConfig",
        )
        for module in ("", ".default")
    },
    **{
        f"vumi.transports.smpp.processors.{module}": (
            "DeliverShortMessageProcessor",
            "DeliverShortMessageProcessorConfig",
            "SubmitShortMessageProcessor",
            "SubmitShortMessageProcessorConfig",
        )
        for module in ("mica", "sixdee")
    },
    "vumi.transports.smpp.iprocessors": (
        "IDeliveryReportProcessor",
        "IDeliverShortMessageProcessor",
        "ISubmitShortMessageProcessor",
    ),
    "vumi.transports.smpp.protocol": (
        "EsmeProtocol",
        "EsmeProtocolFactory",
        "EsmeProtocolError",
    ),
    "vumi.transports.smpp.smpp_service": ("SmppService",),
    "vumi.transports.smpp.sequence": ("RedisSequence",),
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PATHS.items() for name in names]
)
def test_old_paths_lead_to_what_they_name(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_the_old_path_has_the_same_classes() -> None:
    new = importlib.import_module("vumi.transports.smpp.smpp")
    old = importlib.import_module("vumi.transports.smpp.smpp_transport")
    for name in PATHS["vumi.transports.smpp.smpp_transport"][:-1]:
        assert getattr(old, name) is getattr(new, name)


def test_the_old_name_is_the_class_with_the_old_config() -> None:
    module = importlib.import_module("vumi.transports.smpp")
    assert module.SmppTransport is SmppTransceiverTransportWithOldConfig


@pytest.mark.parametrize(
    ("cls", "bind_type"),
    [
        (SmppTransceiverTransport, BindType.TRX),
        (SmppReceiverTransport, BindType.RX),
        (SmppTransmitterTransport, BindType.TX),
        (deprecated.SmppTransport, BindType.TRX),
        (deprecated.SmppRxTransport, BindType.RX),
        (deprecated.SmppTxTransport, BindType.TX),
    ],
)
def test_what_each_class_binds_for(cls: Any, bind_type: BindType) -> None:
    assert make(cls).bind_type is bind_type
