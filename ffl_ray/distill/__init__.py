"""How members teach each other: one file per method, logits in, named loss terms out."""
