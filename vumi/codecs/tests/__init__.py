"""Tests of vumi.codecs."""
