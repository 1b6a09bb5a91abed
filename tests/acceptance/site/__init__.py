"""A small site for the acceptance tests: it fires events over HTTP and tells what came of them."""
