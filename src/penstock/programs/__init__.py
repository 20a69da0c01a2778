"""Running programs: any executable, started without a shell, in a process group of its own. Knows nothing of tasks.

`warden` is the process that starts them and outlives nobody it must; `link` is its other end; `run` is one run.
"""
