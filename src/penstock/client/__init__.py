"""What user code holds: the app, its tasks, results, and the way from them to broker and result backend."""
