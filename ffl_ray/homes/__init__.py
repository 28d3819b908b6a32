"""Where a worker lives: a plain process, a Tune actor, or a Ray Train worker."""
