"""The message store over HTTP: files of batches and of searches, and searches by patterns."""
