"""One outside library or system each. An adapter knows the floors below it and no other adapter."""
