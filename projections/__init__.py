"""The read side: one module a model, each a function of the event log."""

import domain as domain  # first: it decides whether compiled modules, the row encoder too, may be loaded
