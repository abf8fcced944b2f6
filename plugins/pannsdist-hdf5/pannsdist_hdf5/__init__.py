"""PANNs' own packing for pannsdist: the dataset `panns_hdf5`.

The files are those of github.com/qiuqiangkong/audioset_tagging_cnn (`hdf5s/waveforms` and `hdf5s/indexes`) and of
panns_transfer_to_gtzan (`features/waveform.h5`, with folds).
"""

from pannsdist_hdf5.dataset import PannsHdf5, PannsHdf5Params

__all__ = ["PannsHdf5", "PannsHdf5Params"]
