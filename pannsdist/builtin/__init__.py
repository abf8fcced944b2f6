"""The plugins that ship with pannsdist, found through the same entry points as anybody's."""
