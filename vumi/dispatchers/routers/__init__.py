"""The routers that come with vumi, one to a module.

Use them by the names in :mod:`vumi.dispatchers`.
"""
