"""Result backends: where each task's record lives. They do not know one another; the contracts are core.results."""
