"""Parts that workers are built of: sessions, tag pools, windows, schedules, message formats."""
