"""Makes what the tests of the plugins share importable, and says more where one of its checks fails."""

import pytest

pytest.register_assert_rewrite("corpus_tests", "reference_sounds")
