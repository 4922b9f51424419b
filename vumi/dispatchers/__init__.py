"""Dispatchers: what routes messages between transports and applications."""
