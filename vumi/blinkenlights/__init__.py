"""How workers tell that they live and how much they do."""
