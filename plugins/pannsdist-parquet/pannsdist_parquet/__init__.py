"""Arrow and Parquet tables for pannsdist: the dataset `parquet`.

The layouts are those that Hugging Face `datasets` writes and the Hub serves: Parquet files by split with the features
in their metadata or in README.md, and the Arrow folders of `save_to_disk`. `datasets` itself is not needed.
"""

from pannsdist_parquet.dataset import Parquet
from pannsdist_parquet.params import ParquetParams

__all__ = ["Parquet", "ParquetParams"]
