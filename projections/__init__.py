"""The read side: one module a model, each a function of the event log."""

# First, for it decides whether compiled modules (the row encoder is one) may be loaded.
import domain as domain
