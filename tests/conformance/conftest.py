"""The suites live in the package; their assertions are to explain themselves as those of test modules do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("penstock.testing.conformance")
