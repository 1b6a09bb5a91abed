"""What happens, counted in PostHog: pseudonymous, and without a key not at all."""
