"""The parts behind the mixins of `core.model_mixins`."""
