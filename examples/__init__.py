"""Example applications, written as a team that uses Signalbox would write them."""
