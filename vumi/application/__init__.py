"""Applications: what holds the conversation with a user."""

from vumi.application.base import ApplicationConfig, ApplicationWorker

__all__ = ["ApplicationConfig", "ApplicationWorker"]
