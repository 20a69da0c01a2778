"""The worker: takes messages, runs tasks, records how they ended.

From the outside in: `supervisor` (process table and signals) forks one `keeper` (leases, mailbox, sweeps, health port)
and the children; a `child` fetches (`intake`), checks, runs (`threads`, `coroutines`) and records (`recorder`) what the
`executor` decides. Everything from the executor inwards knows nothing of processes.
"""
