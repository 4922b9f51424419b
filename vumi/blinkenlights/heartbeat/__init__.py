"""Heartbeats: small messages that a worker publishes as long as it lives."""

from vumi.blinkenlights.heartbeat.publisher import HeartBeatMessage, HeartBeatPublisher

__all__ = ["HeartBeatMessage", "HeartBeatPublisher"]
