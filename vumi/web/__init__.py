"""HTTP: what serves it and what asks for it. Knows nothing of workers and messages."""
