"""HTML for people: pages under /ui, made on the server from what the API's routes answer, and from nothing else."""
