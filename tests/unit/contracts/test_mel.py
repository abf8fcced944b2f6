"""Mel filters are librosa's to the last bit, and no process waits for the import of librosa."""

import subprocess
import sys

import librosa
import numpy as np
import pytest

from pannsdist.contracts.mel import mel_filters


@pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")
@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize(("rate_hz", "fft"), [(8000, 256), (16000, 400), (32000, 1024), (44100, 2048), (48000, 512)])
def test_filters_are_those_of_librosa(rate_hz, fft, htk):
    for bands in (1, 23, 64, 256):
        for low_hz, high_hz in ((0.0, rate_hz / 2), (50.0, 3999.0), (999.9, 1000.1), (1200.0, 3000.0)):
            found = mel_filters(np.fft.rfftfreq(fft, 1 / rate_hz), bands, low_hz, high_hz, htk)
            wanted = librosa.filters.mel(sr=rate_hz, n_fft=fft, n_mels=bands, fmin=low_hz, fmax=high_hz, htk=htk)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_a_network_is_made_without_the_import_of_librosa():
    code = """
import sys
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns import Cnn6
LogMel(LogMelParams()).build()
assert {"paddle"} == {"paddle", "librosa", "numba", "scipy.signal", "scipy.stats"} & sys.modules.keys(), sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
