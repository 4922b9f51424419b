"""For tests of resources."""
