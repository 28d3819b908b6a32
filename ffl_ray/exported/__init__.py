"""Exported models read back: their description, their checksums, the module that they hold."""
