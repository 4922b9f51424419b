"""Tests of the core, and the public test kit."""
