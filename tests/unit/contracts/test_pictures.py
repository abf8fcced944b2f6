"""Pictures of what a network got right and wrong."""

import numpy as np
import pytest

from pannsdist.contracts.pictures import confusion_picture, features_picture, font_for, spectrogram_picture


@pytest.mark.parametrize(
    ("classes", "least", "most"), [(2, 350, 700), (10, 350, 750), (50, 1400, 1800), (527, 1300, 1800)]
)
def test_a_confusion_matrix_has_a_size_that_can_be_read(classes, least, most):
    matrix = np.random.default_rng(0).integers(0, 3, (classes, classes))
    pixels = confusion_picture(matrix, [f"class {n}" for n in range(classes)], "valid")
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert all(least <= side <= most for side in pixels.shape[:2]), pixels.shape


def test_one_clip_more_shows_in_the_picture():
    labels = ["a", "b", "c"]
    one, other = (confusion_picture(np.diag([4, 4, count]), labels, "valid") for count in (4, 5))
    assert one.shape == other.shape
    assert (one != other).any()


def test_labels_that_no_installed_font_can_draw_become_numbers():
    assert font_for("狗 \U0001f415 \ue123") is None
    labels = ["\ue123", "\ue124"]
    numbers = confusion_picture(np.eye(2, dtype=int), labels, "valid")
    assert (numbers == confusion_picture(np.eye(2, dtype=int), ["\ue125", "\ue126"], "valid")).all()
    assert font_for("abc ö Ж") == "DejaVu Sans"


def test_dollars_in_a_label_are_no_formula():
    formulas, plain = ["$\\frac$", "a_$b^"], ["frac", "a_b"]
    drawn, other = (confusion_picture(np.eye(2, dtype=int), labels, "valid") for labels in (formulas, plain))
    assert drawn.shape != other.shape or (drawn != other).any(), "the dollars are drawn too"
    drawn, other = (features_picture(np.zeros((4, 4)), 1.0, text) for text in ("$\\frac$ a", "frac a"))
    assert (drawn != other).any()


def test_a_sound_is_a_picture_of_its_features_or_a_curve_of_its_samples():
    generator = np.random.default_rng(0)
    image = features_picture(generator.normal(size=(50, 16)), 1.0, "clip\ntrue: 狗, predicted: \ue123 0.5")
    curve = features_picture(generator.normal(size=(500, 1)), 1.0, "clip")
    assert image.shape == curve.shape
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100


def test_a_spectrogram_has_the_size_of_a_card_for_any_sound():
    sizes = {spectrogram_picture(np.ones(samples), 8000, "clip").shape for samples in (0, 1, 100, 80_000)}
    assert sizes == {(384, 624, 3)}
