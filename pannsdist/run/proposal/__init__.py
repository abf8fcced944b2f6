"""A settings file for own sounds: what is there is looked at, and each setting is written with its reason."""
