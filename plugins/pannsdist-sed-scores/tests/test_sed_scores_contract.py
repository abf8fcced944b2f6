"""The contract of metric plugins, kept by each score of events."""

from __future__ import annotations

from pannsdist_sed_scores import EventF1, Psds1, Psds2

from pannsdist.devkit import conformance

test_event_f1_keeps_the_contract = conformance(EventF1)
test_psds1_keeps_the_contract = conformance(Psds1)
test_psds2_keeps_the_contract = conformance(Psds2)
