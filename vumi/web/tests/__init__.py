"""Tests of vumi.web."""
