"""Writing of files by plugins: errors of the file system become messages, and no credentials are written."""

from pannsdist.runtime.storage import append_line, make_folder, opened, remove, stream_atomic, write_atomic

__all__ = ["append_line", "make_folder", "opened", "remove", "stream_atomic", "write_atomic"]
