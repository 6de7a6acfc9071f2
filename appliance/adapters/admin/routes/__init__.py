"""The rooms of the API, one a subject: `add(app, gateway)` makes its routes."""
