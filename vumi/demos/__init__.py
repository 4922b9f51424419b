"""Small applications to try things out with, and to read."""
