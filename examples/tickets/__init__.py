"""Organisers publish happenings, people buy tickets, the platform takes its fee."""
