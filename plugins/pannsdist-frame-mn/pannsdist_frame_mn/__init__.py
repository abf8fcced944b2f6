"""EfficientSED for pannsdist: the networks `frame_mn04` to `frame_mn30` and the feature `frame_mn_mel`.

Importing this module does not import paddle. Facts from T. Morocutti, F. Schmid, J. Greif, F. Foscarin, G. Widmer,
"Exploring Performance-Complexity Trade-Offs in Sound Event Detection", EUSIPCO 2025 (arXiv 2503.11373), and its release
v0.0.1 (MIT licence).
"""

from pannsdist_frame_mn.feature import FrameMnMel, MelParams
from pannsdist_frame_mn.models import FrameMn04, FrameMn06, FrameMn10, FrameMn20, FrameMn30

__all__ = ["FrameMn04", "FrameMn06", "FrameMn10", "FrameMn20", "FrameMn30", "FrameMnMel", "MelParams"]
