"""The plan of a search or a training before it starts: layout, cost, forecast, limits."""
