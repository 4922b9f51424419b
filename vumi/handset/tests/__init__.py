"""Tests of the handset."""
