"""Images that do not fit in memory: decoded ahead of the training, in processes of their own."""
