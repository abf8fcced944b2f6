"""Names -> entry points -> built plugins, one way for all kinds."""

from pannsdist.registry.catalog import LIST_COMMAND, Catalog, Entry, Origin, Registry

__all__ = ["LIST_COMMAND", "Catalog", "Entry", "Origin", "Registry"]
