"""Tests of the transport that is made by options."""
