"""Reading, writing and loading of weight files, without executing any code from them."""

from pannsdist.weights.formats.paddle import read_paddle
from pannsdist.weights.loading import LoadReport, load_into
from pannsdist.weights.weight_file import WeightFile, read_shapes, read_weights

__all__ = ["LoadReport", "WeightFile", "load_into", "read_paddle", "read_shapes", "read_weights"]
