"""The contract of metric plugins, kept by each score of events."""

from __future__ import annotations

import pannsdist_sed_scores

from pannsdist.devkit import conformance

test_event_f1_keeps_the_contract = conformance(pannsdist_sed_scores.EventF1)
test_intersection_f1_keeps_the_contract = conformance(pannsdist_sed_scores.IntersectionF1)
test_psds1_keeps_the_contract = conformance(pannsdist_sed_scores.Psds1)
test_psds2_keeps_the_contract = conformance(pannsdist_sed_scores.Psds2)
test_segment_error_rate_keeps_the_contract = conformance(pannsdist_sed_scores.SegmentErrorRate)
test_segment_f1_keeps_the_contract = conformance(pannsdist_sed_scores.SegmentF1)
test_segment_mpauc_keeps_the_contract = conformance(pannsdist_sed_scores.SegmentMpauc)
