"""What is measured, in the order of the rows."""

from __future__ import annotations

from bench.measurement import Measurement
from bench.measurements.draining import DRAINING
from bench.measurements.http import HTTP
from bench.measurements.latency import LATENCY
from bench.measurements.memory import MEMORY
from bench.measurements.starting import STARTING
from bench.measurements.submitting import SUBMITTING
from bench.measurements.watching import WATCHING

MEASUREMENTS: tuple[Measurement, ...] = (*SUBMITTING, *DRAINING, *LATENCY, *HTTP, *STARTING, *MEMORY, *WATCHING)
