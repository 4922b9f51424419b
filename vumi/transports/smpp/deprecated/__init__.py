"""The names of the SMPP transports before the last rewrite of the old Vumi.

They take their old configuration, and are the new transports behind it.
"""
