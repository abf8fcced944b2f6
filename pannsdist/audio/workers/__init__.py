"""Worker processes that get their tasks and give their results in shared memory."""
