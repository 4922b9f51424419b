"""Vumi: conversations over phones (USSD, SMS, chat) on Twisted and RabbitMQ."""

__version__ = "1.0.0a1"
