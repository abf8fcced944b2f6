"""The contract of metric plugins, kept by each score of events."""

from __future__ import annotations

from pannsdist_sed_scores import EventF1, IntersectionF1, Psds1, Psds2, SegmentErrorRate, SegmentF1, SegmentMpauc

from pannsdist.devkit import conformance

test_event_f1_keeps_the_contract = conformance(EventF1)
test_intersection_f1_keeps_the_contract = conformance(IntersectionF1)
test_psds1_keeps_the_contract = conformance(Psds1)
test_psds2_keeps_the_contract = conformance(Psds2)
test_segment_error_rate_keeps_the_contract = conformance(SegmentErrorRate)
test_segment_f1_keeps_the_contract = conformance(SegmentF1)
test_segment_mpauc_keeps_the_contract = conformance(SegmentMpauc)
