"""Makes `corpus_promises` importable in the tests of every plugin, and says more where one of its checks fails."""

import pytest

pytest.register_assert_rewrite("corpus_promises")
