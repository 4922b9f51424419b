"""Tests, and the public test kit where there is one."""
