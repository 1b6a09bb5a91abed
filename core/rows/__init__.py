"""What happens to rows, told as events: single saves, bulk changes, relations."""
